//! Random bytes and damaged dry runs: each is an error, or a plan that keeps what every plan promises.

use super::{fixtures, parse};
use pcache_nvcc::plan::{FileId, FileKind, Plan};
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, proptest};
use proptest::sample::Index;

/// What every plan promises, however odd its text.
fn check(plan: &Plan) {
    let written: Vec<FileId> = plan
        .stages
        .iter()
        .flat_map(|stage| stage.writes.iter().copied())
        .collect();
    let given: Vec<FileId> = plan
        .units
        .iter()
        .filter_map(|unit| unit.module_id)
        .collect();
    for read in plan.stages.iter().flat_map(|stage| &stage.reads) {
        let made = written.contains(read) || given.contains(read);
        assert_eq!(plan.file(*read).kind == FileKind::Temp, made);
    }
    let mut placed: Vec<usize> = plan
        .units
        .iter()
        .flat_map(|unit| unit.stages.clone())
        .collect();
    placed.extend(&plan.link);
    placed.sort_unstable();
    assert_eq!(placed, (0..plan.stages.len()).collect::<Vec<_>>());
}

/// One way to damage a text.
#[derive(Clone, Debug)]
enum Damage {
    Replace(Index, u8),
    Remove(Index, u8),
    RepeatLine(Index),
    DropLine(Index),
    SwapWords(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    (0..5u8, any::<Index>(), any::<Index>(), any::<u8>()).prop_map(|(kind, at, other, byte)| {
        match kind {
            0 => Damage::Replace(at, byte),
            1 => Damage::Remove(at, byte),
            2 => Damage::RepeatLine(at),
            3 => Damage::DropLine(at),
            _ => Damage::SwapWords(at, other),
        }
    })
}

fn damaged(mut text: Vec<u8>, damage: &Damage) -> Vec<u8> {
    if text.is_empty() {
        return text;
    }
    let lines = |text: &[u8]| -> Vec<Vec<u8>> {
        text.split_inclusive(|&byte| byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect()
    };
    match damage {
        Damage::Replace(at, byte) => {
            let at = at.index(text.len());
            text[at] = *byte;
            text
        }
        Damage::Remove(at, length) => {
            let at = at.index(text.len());
            let end = text.len().min(at + usize::from(*length));
            text.drain(at..end);
            text
        }
        Damage::RepeatLine(at) => {
            let mut lines = lines(&text);
            let at = at.index(lines.len());
            lines.insert(at, lines[at].clone());
            lines.concat()
        }
        Damage::DropLine(at) => {
            let mut lines = lines(&text);
            lines.remove(at.index(lines.len()));
            lines.concat()
        }
        Damage::SwapWords(at, other) => {
            let mut words: Vec<&[u8]> = text.split(|&byte| byte == b' ').collect();
            let (at, other) = (at.index(words.len()), other.index(words.len()));
            words.swap(at, other);
            words.join(&b' ')
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_plan_or_an_error(text in vec(any::<u8>(), 0..300)) {
        let mut planned = b"#$ ".to_vec();
        planned.extend(&text);
        for text in [text, planned] {
            if let Ok(plan) = parse(&text) {
                check(&plan);
            }
        }
    }

    #[test]
    fn damaged_dry_runs_are_plans_or_errors(
        case in any::<Index>(),
        damages in vec(damage(), 1..6),
    ) {
        thread_local! {
            static ALL: Vec<Vec<u8>> = fixtures("13.2").into_values().collect();
        }
        let mut text = ALL.with(|all| all[case.index(all.len())].clone());
        for damage in &damages {
            text = damaged(text, damage);
        }
        if let Ok(plan) = parse(&text) {
            check(&plan);
        }
    }
}
