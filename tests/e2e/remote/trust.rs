//! What servers send is not believed: values that no trusted key has signed for their place, damaged ones, bombs, and
//! path sets that name what no compile reads.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use pcache_nvcc::includes::lookups::Lookups;
use pcache_nvcc::includes::path_set::{PathSet, list_with, read_list};
use pcache_nvcc::key::Roots;
use tempfile::TempDir;

use super::farm::Farm;
use super::values::{change, copy, frame, list, of_list, unsigned, values};
use crate::support::workspace::program;

/// Units of one test.
const UNITS: usize = 2;

fn url(share: &Path) -> String {
    format!("file://{}", share.display())
}

/// A directory for a share, and a farm of machines that use it.
fn farm() -> (TempDir, Farm) {
    let share = tempfile::tempdir().expect("a share");
    let farm = Farm::with_stubs(&url(share.path()));
    (share, farm)
}

/// Makes a key in a file, and returns the file and the public key.
fn key(farm: &Farm, name: &str, file: &str) -> (PathBuf, String) {
    let file = farm.ws.root().join(file);
    let mut command = farm.ws.command(program("pcache"));
    let output = command.args(["remote", "keygen", name]).arg(&file).output();
    let output = output.expect("pcache runs");
    assert!(output.status.success(), "{output:?}");
    let public = String::from_utf8(output.stdout).expect("a key");
    (file, public.trim().to_owned())
}

/// Has the present machine sign with a key, or with none.
fn sign_with(farm: &mut Farm, file: Option<&Path>) {
    match file {
        Some(file) => farm.ws.set_env("PCACHE_SIGN_KEY", file),
        None => farm.ws.unset_env("PCACHE_SIGN_KEY"),
    }
}

fn trust(farm: &mut Farm, keys: &str) {
    farm.ws.set_env("PCACHE_TRUSTED_KEYS", keys);
}

/// Compiles all units on a new machine, sends what it made, and returns how many it found.
#[track_caller]
fn compile_all(farm: &mut Farm, machine: &str) -> u64 {
    farm.on(machine);
    let found = (0..UNITS).map(|number| farm.compile(number).counted.direct_hits);
    let found = found.sum();
    farm.flush();
    found
}

/// Compiles all units on a new machine, which finds nothing, and counts failures of one kind alone.
#[track_caller]
fn nothing_is_believed(farm: &mut Farm, machine: &str, kind: &str) {
    assert_eq!(compile_all(farm, machine), 0, "{machine}");
    let counted = farm.counted();
    assert_eq!(counted.hits, 0, "{machine}: {counted:?}");
    let kinds: Vec<_> = counted.failures.keys().collect();
    assert_eq!(kinds, [kind], "{machine}: {counted:?}");
}

/// What a share of signed results is turned into.
type Forgery<'f> = (&'f str, &'f str, &'f dyn Fn(&Path));

#[test]
fn what_no_trusted_key_has_signed_for_its_place_is_refused() {
    let (original, mut farm) = farm();
    let (file, public) = key(&farm, "farm-1", "key");
    let (other, _) = key(&farm, "farm-1", "other");
    trust(&mut farm, &public);
    sign_with(&mut farm, Some(&file));
    assert_eq!(compile_all(&mut farm, "signer"), 0);
    sign_with(&mut farm, None);
    assert_eq!(compile_all(&mut farm, "reader"), UNITS as u64);

    let imposter = tempfile::tempdir().expect("a share");
    farm.ws.set_env("PCACHE_REMOTE", url(imposter.path()));
    sign_with(&mut farm, Some(&other));
    assert_eq!(compile_all(&mut farm, "imposter"), 0);
    sign_with(&mut farm, None);

    let flip = |value: Vec<u8>, at: usize| {
        let mut value = value;
        value[at] ^= 0x20;
        value
    };
    let forgeries: [Forgery<'_>; 7] = [
        ("stripped", "untrusted", &|share| {
            change(share, "main", |value| unsigned(&frame(&value)));
        }),
        ("exchanged", "untrusted", &|share| {
            let paths = values(share, "main");
            let texts: Vec<_> = paths
                .iter()
                .map(|path| fs::read(path).expect("a value"))
                .collect();
            for (path, text) in paths.iter().zip(texts.iter().cycle().skip(1)) {
                fs::write(path, text).expect("a value");
            }
        }),
        ("changed", "untrusted", &|share| {
            change(share, "main", |value| {
                let last = value.len() - 1;
                flip(value, last)
            });
        }),
        ("by an imposter", "untrusted", &|share| {
            copy(imposter.path(), share)
        }),
        ("cut off", "garbled", &|share| {
            change(share, "main", |value| value[..value.len() / 2].to_vec());
        }),
        ("garbage", "garbled", &|share| {
            change(share, "main", |value| {
                value.iter().map(|byte| byte.wrapping_mul(7)).collect()
            });
        }),
        ("empty", "garbled", &|share| {
            change(share, "main", |_| Vec::new())
        }),
    ];
    for (name, kind, forge) in forgeries {
        let share = tempfile::tempdir().expect("a share");
        copy(original.path(), share.path());
        forge(share.path());
        farm.ws.set_env("PCACHE_REMOTE", url(share.path()));
        nothing_is_believed(&mut farm, &name.replace(' ', "-"), kind);
    }
    farm.ws.set_env("PCACHE_REMOTE", url(original.path()));
    trust(&mut farm, &format!("{public}:release"));
    nothing_is_believed(&mut farm, "another-namespace", "untrusted");
    trust(&mut farm, &public);
    fs::rename(original.path().join("main"), original.path().join("moved")).expect("a namespace");
    farm.ws.set_env(
        "PCACHE_REMOTE",
        format!("{} namespace=moved", url(original.path())),
    );
    nothing_is_believed(&mut farm, "moved-to-a-namespace", "untrusted");
}

#[test]
fn a_machine_without_a_key_changes_no_signed_result() {
    let (share, mut farm) = farm();
    let (file, public) = key(&farm, "farm-1", "key");
    trust(&mut farm, &public);
    sign_with(&mut farm, Some(&file));
    compile_all(&mut farm, "signer");
    sign_with(&mut farm, None);
    let contents = || -> Vec<_> {
        let values = values(share.path(), "main");
        values
            .iter()
            .map(|path| (path.clone(), fs::read(path).expect("a value")))
            .collect()
    };
    let signed = contents();
    // A reader sends nothing, and one that trusts no key replaces nothing, though its headers are others.
    farm.ws.write("value.h", "#include \"more.h\"\n");
    farm.ws.write("more.h", "#define VALUE 2\n");
    assert_eq!(compile_all(&mut farm, "reader"), 0);
    assert_eq!(contents(), signed);
    farm.ws.unset_env("PCACHE_TRUSTED_KEYS");
    assert_eq!(compile_all(&mut farm, "stranger"), 0);
    let now = contents();
    assert!(signed.iter().all(|value| now.contains(value)));
    trust(&mut farm, &public);
    farm.ws.write("value.h", "#define VALUE 1\n");
    assert_eq!(compile_all(&mut farm, "late-reader"), UNITS as u64);
}

#[test]
fn a_signer_replaces_what_is_not_believed() {
    let (_share, mut farm) = farm();
    compile_all(&mut farm, "unsigned");
    let (file, public) = key(&farm, "farm-1", "key");
    trust(&mut farm, &public);
    nothing_is_believed(&mut farm, "reader", "untrusted");
    sign_with(&mut farm, Some(&file));
    assert_eq!(compile_all(&mut farm, "signer"), 0);
    sign_with(&mut farm, None);
    assert_eq!(compile_all(&mut farm, "late-reader"), UNITS as u64);
}

/// What a value is turned into.
type Damage<'d> = (&'d str, &'d dyn Fn(Vec<u8>) -> Vec<u8>);

/// Also without signatures.
#[test]
fn damaged_values_are_refused_and_replaced() {
    let (share, mut farm) = farm();
    compile_all(&mut farm, "first");
    let bomb = zstd::stream::encode_all(std::io::repeat(0).take(1 << 30), 1).expect("a frame");
    let damages: [Damage<'_>; 3] = [
        ("bomb", &|_| unsigned(&bomb)),
        ("cut-off", &|value| value[..value.len() - 9].to_vec()),
        ("text", &|_| b"<html>not found</html>".to_vec()),
    ];
    for (name, damage) in damages {
        change(share.path(), "main", damage);
        nothing_is_believed(&mut farm, name, "garbled");
        assert_eq!(
            compile_all(&mut farm, &format!("after-{name}")),
            UNITS as u64
        );
    }
}

/// A path set that names these files.
fn set(files: impl IntoIterator<Item = PathBuf>) -> PathSet {
    let lookups = Lookups {
        files: files.into_iter().collect(),
        ..Lookups::default()
    };
    PathSet::new(&lookups, &Roots::default()).expect("a path set")
}

#[test]
fn hostile_path_sets_neither_stop_nor_change_a_compile() {
    let (share, mut farm) = farm();
    compile_all(&mut farm, "first");
    let side = farm.ws.side("hostile");
    let pipe = side.join("pipe");
    let made = farm.ws.command("mkfifo").arg(&pipe).status();
    assert!(made.expect("mkfifo").success());
    let large = side.join("large");
    let file = File::create(&large).expect("a file");
    file.set_len(100 << 30).expect("a large file");
    let single = [
        pipe,
        large,
        "/dev/zero".into(),
        "/dev/full".into(),
        "/proc/self/mem".into(),
        "/proc/kcore".into(),
        "/proc/kmsg".into(),
    ];
    let many = (0..200_000).map(|number| PathBuf::from(format!("/proc/self/../{number:0>20}")));
    let again = (0..100_000)
        .map(|number| PathBuf::from(format!("{}etc/passwd", "/".repeat(number % 50 + 1))));
    let mut sets: Vec<_> = single.map(|path| set([path])).into();
    sets.push(set(many));
    sets.push(set(again));
    for (number, part) in sets.chunks(6).enumerate() {
        for path in values(share.path(), "main") {
            let value = fs::read(&path).expect("a value");
            let Some(list) = list(&value) else {
                continue;
            };
            let good = read_list(&list).expect("path sets").pop().expect("a set");
            let mut sets = vec![good];
            let mut hostile = list;
            for set in part {
                hostile = list_with(set.clone(), sets).expect("a longer list");
                sets = read_list(&hostile).expect("path sets");
            }
            fs::write(path, of_list(&hostile)).expect("a value");
        }
        // The good set behind them is found.
        assert_eq!(
            compile_all(&mut farm, &format!("victim-{number}")),
            UNITS as u64
        );
        let counted = farm.counted();
        assert!(counted.failures.is_empty(), "{counted:?}");
    }
}

/// How many path sets in the cache of the present machine name a path with `files` in it.
fn stored_sets(farm: &Farm, files: &Path) -> usize {
    let text = files.to_str().expect("a path");
    let mut lists = Vec::new();
    let mut left = vec![farm.helper_dir().join("../..")];
    while let Some(directory) = left.pop() {
        for entry in fs::read_dir(directory).expect("a folder").flatten() {
            if entry.path().is_dir() {
                left.push(entry.path());
            } else {
                lists.extend(fs::read(entry.path()));
            }
        }
    }
    let title = b"pcache-nvcc path sets 3\n";
    let lists = lists.iter().filter_map(|text| {
        let at = text.windows(title.len()).position(|part| part == title)?;
        read_list(&text[at..])
    });
    let sets = lists.flatten().filter(|set| set.names(text));
    sets.count()
}

/// A file of the user's that no compile reads, and a header in a directory that this compile does not search.
#[test]
fn path_sets_that_lead_elsewhere_than_the_compile_are_not_taken() {
    let (share, mut farm) = farm();
    compile_all(&mut farm, "first");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let secret = elsewhere.path().join("secret");
    fs::write(&secret, "password").expect("a file");
    for path in values(share.path(), "main") {
        let value = fs::read(&path).expect("a value");
        let Some(list) = list(&value) else {
            continue;
        };
        let sets = read_list(&list).expect("path sets");
        let hostile = list_with(set([secret.clone()]), sets).expect("a longer list");
        fs::write(path, of_list(&hostile)).expect("a value");
    }
    assert_eq!(compile_all(&mut farm, "victim"), UNITS as u64);
    assert!(stored_sets(&farm, Path::new("value.h")) > 0);
    assert_eq!(stored_sets(&farm, &secret), 0);
}
