//! Options whose names say that they are secret: their values are in no file of the cache, in no log and in no explanation.

use super::bench::{Bench, Case, Ended};
use super::{ONCE, PLAIN, alone, expect};
use std::fs;
use std::path::{Path, PathBuf};

/// Everything in the files below `directory`.
fn contents(directory: &Path) -> Vec<u8> {
    let children = fs::read_dir(directory)
        .unwrap()
        .map(|child| child.unwrap().path());
    let read = |path: PathBuf| {
        if path.is_dir() {
            contents(&path)
        } else {
            fs::read(path).unwrap()
        }
    };
    children.flat_map(read).collect()
}

#[test]
fn secret_options_are_in_no_record_and_no_log() {
    let _alone = alone();
    let bench = Bench::new();
    let case = |secret: &str| {
        let options = [
            "-DVALUE=1",
            &format!("-DAPI_TOKEN={secret}"),
            "-D",
            "KEY=hunter2abc x",
        ];
        Case::new(PLAIN, &options)
    };
    expect(&bench, &case("hunter2abc"), ONCE);
    expect(&bench, &case("hunter2abc-new"), ONCE);
    expect(
        &bench,
        &case("hunter2abc").option("--pch"),
        &[Ended::Bypass],
    );
    expect(&bench, &case("hunter2abc-newer"), &[Ended::Miss]);
    let said = bench.explain();
    assert!(
        said.contains("API_TOKEN=… → -API_TOKEN=… (the values differ"),
        "{said}"
    );
    let kept = [
        contents(&bench.store()),
        bench.log().into_bytes(),
        said.into_bytes(),
    ]
    .concat();
    let found = kept.windows(10).filter(|found| found == b"hunter2abc");
    assert_eq!(found.count(), 0);
}
