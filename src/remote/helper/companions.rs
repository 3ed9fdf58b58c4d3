//! Records that came in the same value as the pointer that leads to them. They wait here until a compile asks for them by
//! their own keys, which it alone can compute: nothing is stored under a key that no compile has asked for.

use super::pack::{Pack, PackedContent};
use crate::key::pointer;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The compile that has got the pointer asks right after, so few wait at a time.
const MOST: usize = 32;

/// The most bytes of all but the last that came.
const MOST_BYTES: usize = 64 << 20;

/// A companion with what it names, and where it came from: its large artefacts lie there.
pub(super) struct WaitingRecord {
    name: [u8; 32],
    pub(super) pack: Pack,
    pub(super) url: String,
    pub(super) namespace: String,
}

impl WaitingRecord {
    fn bytes(&self) -> usize {
        let artefacts = self.pack.artefacts.iter();
        let inline = artefacts.map(|one| match &one.content {
            PackedContent::Inline(bytes) => bytes.len(),
            PackedContent::Blob(_) => 0,
        });
        self.pack.value.len() + inline.sum::<usize>()
    }
}

/// The companions of the pointers that came last.
#[derive(Default)]
pub(super) struct Companions {
    waiting: Mutex<VecDeque<WaitingRecord>>,
}

impl Companions {
    /// Takes the companion out of a pack that was believed, with its artefacts, and keeps it, if the pack's own record is
    /// a pointer to it.
    pub(super) fn set_aside(&self, mut pack: Pack, url: &str, namespace: &str) -> Pack {
        let Some(companion) = pack.companion.take() else {
            return pack;
        };
        if pointer::leads_to(&pack.value) != Some(companion.name) {
            return pack;
        }
        let own = Pack {
            worth: pack.worth,
            value: companion.value,
            companion: None,
            artefacts: std::mem::take(&mut pack.artefacts),
        };
        let mut waiting = self.lock();
        waiting.retain(|other| other.name != companion.name);
        waiting.truncate(MOST - 1);
        waiting.push_front(WaitingRecord {
            name: companion.name,
            pack: own,
            url: url.to_owned(),
            namespace: namespace.to_owned(),
        });
        while waiting.len() > 1
            && waiting.iter().map(WaitingRecord::bytes).sum::<usize>() > MOST_BYTES
        {
            waiting.pop_back();
        }
        pack
    }

    /// The companion of this name, once.
    pub(super) fn take(&self, name: &[u8; 32]) -> Option<WaitingRecord> {
        let mut waiting = self.lock();
        let at = waiting.iter().position(|one| one.name == *name)?;
        waiting.remove(at)
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<WaitingRecord>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::{Companions, Pack};
    use crate::key::pointer::POINTER;
    use crate::remote::helper::pack::Companion;
    use crate::store::Worth;

    fn pack(named: [u8; 32], companion: [u8; 32]) -> Pack {
        let json = format!("{{\"record\":\"{}\"}}", hex::encode(named));
        Pack {
            worth: Worth::Result,
            value: [POINTER, json.as_bytes()].concat(),
            companion: Some(Companion {
                name: companion,
                value: b"{}".to_vec(),
            }),
            artefacts: Vec::new(),
        }
    }

    #[test]
    fn a_record_waits_under_the_name_that_the_pointer_has_and_is_given_once() {
        let companions = Companions::default();
        let left = companions.set_aside(pack([1; 32], [1; 32]), "file:///a", "main");
        assert_eq!(left.companion, None);
        assert!(companions.take(&[2; 32]).is_none());
        let found = companions.take(&[1; 32]).expect("it waits");
        assert_eq!(
            (found.pack.value, found.url),
            (b"{}".to_vec(), "file:///a".to_owned())
        );
        assert!(companions.take(&[1; 32]).is_none());
    }

    #[test]
    fn a_record_that_the_pointer_does_not_name_is_dropped() {
        let companions = Companions::default();
        companions.set_aside(pack([1; 32], [2; 32]), "file:///a", "main");
        assert!(companions.take(&[1; 32]).is_none() && companions.take(&[2; 32]).is_none());
    }
}
