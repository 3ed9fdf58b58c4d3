//! One compile of the suite: a source, how it is named, and options in which places may show.

use super::sources::SOURCES;
use crate::support::random::Random;

/// Groups of options that go together. `{base}` is the checkout, `{above}` the folder above it, `{to}` the way from the
/// working directory to the checkout.
const OPTIONS: &[&[&str]] = &[
    &["-g"],
    &["-lineinfo"],
    &["-G"],
    &["-Xcompiler", "-g"],
    &["-Xcompiler", "-g3"],
    &["-Xcompiler", "-g,-gz"],
    &["-Xcompiler", "-g,-fdebug-prefix-map={base}=."],
    &["-Xcompiler", "-ffile-prefix-map={base}=."],
    &["-Xcompiler", "-g,-ffile-prefix-map={base}=/src"],
    &["-Xcompiler", "-ffile-prefix-map={base}/src=S"],
    &["-Xcompiler", "-ffile-prefix-map={above}=X"],
    &["-Xcompiler", "-fmacro-prefix-map={base}/="],
    &["-Xcompiler", "-ffile-prefix-map={to}/=U/"],
    &["-MD"],
    &["-MD", "-MF", "named.d", "-MT", "target"],
    &["-MD", "-MF", "{base}/named.d", "-MT", "{base}/target"],
    &["-MMD", "-MP"],
    &["-Xcompiler", "-Wall,-Wextra,-Wshadow"],
    &[
        "-Xcompiler",
        "-Wall",
        "-Xcompiler",
        "-fdiagnostics-color=always",
    ],
    &["-Xcompiler", "-Wall,-fdiagnostics-format=json"],
    &["-rdc=true"],
    &["-O0"],
    &["-O3", "-DNDEBUG"],
    &["-DHERE=\"{base}\""],
    &["-DHERE={base}"],
    &["-DUNUSED", "-UUNUSED"],
    &["-include", "{base}/include/value.h"],
    &[
        "-Xcompiler",
        "-finstrument-functions,-finstrument-functions-exclude-file-list=other",
    ],
    &["-Xcompiler", "-frecord-gcc-switches"],
    &["-Xcompiler", "-frandom-seed=1"],
    // Without a seed, GCC chooses the names of sections at random.
    &["-Xcompiler", "-flto,-frandom-seed=1"],
    &["-Xcompiler", "-fno-canonical-system-headers"],
    &["-Xcompiler", "-I{base}/nowhere"],
    &["-Xptxas", "-v"],
    &["-lineinfo", "-src-in-ptx"],
    &["-gencode", "arch=compute_80,code=[sm_80,compute_80]"],
    &["-Xfatbin", "-compress-all"],
    &["-extended-lambda"],
    &["-expt-relaxed-constexpr"],
    &["-dlto", "-arch=sm_80"],
    &["-Wno-deprecated-gpu-targets"],
];

/// How an output comes about, and its name.
const MODES: &[(&[&str], &str)] = &[
    (&["-c"], "unit.o"),
    (&["-c"], "unit.o"),
    (&["-c"], "unit.o"),
    (&["-c"], "unit.o"),
    (&["-dc"], "unit.o"),
    (&["-ptx"], "unit.ptx"),
    (&["-cubin"], "unit.cubin"),
    (&["-fatbin"], "unit.fatbin"),
    (&["-x", "cu", "-c"], "unit.o"),
];

/// One compile.
#[derive(Debug)]
pub struct Case {
    pub source: String,
    /// Whether the source and the directories to search have absolute paths.
    is_absolute: [bool; 2],
    options: Vec<&'static str>,
    output: &'static str,
}

impl Case {
    /// A case with absolute paths.
    pub fn of(source: &str, options: &[&'static str], output: &'static str) -> Self {
        Self {
            source: source.to_owned(),
            is_absolute: [true; 2],
            options: options.to_vec(),
            output,
        }
    }

    pub fn random(random: &mut Random) -> Self {
        let (source, _) = *random.pick(SOURCES);
        let (mode, output) = *random.pick(MODES);
        let mut options = mode.to_vec();
        for _ in 0..random.below(3) {
            let more = *random.pick(OPTIONS);
            // nvcc refuses some options that are given twice.
            if !more
                .iter()
                .any(|word| options.contains(word) && *word != "-Xcompiler")
            {
                options.extend(more);
            }
        }
        if source.ends_with("20") {
            options.push("-std=c++20");
        }
        if source == "lambda" && !options.contains(&"-extended-lambda") {
            options.push("-extended-lambda");
        }
        Self {
            source: source.to_owned(),
            is_absolute: [random.chance(60), random.chance(60)],
            options,
            output,
        }
    }

    /// The command line for the checkout `base` and a working directory that lies in `directory` from there.
    pub fn arguments(&self, base: &str, directory: &str) -> Vec<String> {
        let to = match directory {
            "." => ".",
            "build" => "..",
            _ => "../src",
        };
        let above = base.rsplit_once('/').map_or("/", |(above, _)| above);
        let at = |is_absolute: bool| if is_absolute { base } else { to };
        let [source, searched] = self.is_absolute.map(at);
        let options = self.options.iter().map(|word| {
            let word = word.replace("{base}", base).replace("{to}", to);
            word.replace("{above}", above)
        });
        let rest = [
            format!("-I{searched}/include"),
            "-isystem".to_owned(),
            format!("{searched}/third"),
            format!("{source}/src/{}.cu", self.source),
            "-o".to_owned(),
            self.output.to_owned(),
        ];
        options.chain(rest).collect()
    }

    /// Whether code for link-time optimisation names the folder for intermediate files, which is another in each run.
    pub fn is_random(&self) -> bool {
        self.options.iter().any(|word| word.starts_with("-flto"))
    }

    /// Whether nvcc gives the same bytes in every run: no module id, and no name of a folder for intermediate files.
    pub fn is_comparable(&self) -> bool {
        let has_id = ["internal", "constructed", "lambda", "types"].contains(&self.source.as_str());
        let hides = |word: &&&str| {
            let shown = [
                "-g",
                "-G",
                "-lineinfo",
                "-rdc",
                "-dc",
                "-dlto",
                "-flto",
                "-frecord",
            ];
            shown.iter().any(|option| word.starts_with(option)) && **word != "-gencode"
        };
        !has_id && !self.options.iter().any(|word| hides(&word))
    }
}
