//! Clusters of Redis: which of the 16,384 slots a key belongs to, and where the slots are. A server that is asked for a
//! slot of another one answers `-MOVED slot host:port`; the place is remembered, so that the next call goes there.

use std::collections::HashMap;

/// The servers of slots, as far as they are known.
#[derive(Default)]
pub(super) struct ClusterSlots {
    homes: HashMap<u16, (String, u16)>,
}

impl ClusterSlots {
    /// Host and port of the server for a key, if another than that of the URL is known.
    pub(super) fn home_of(&self, key: &[u8]) -> Option<(String, u16)> {
        if self.homes.is_empty() {
            return None;
        }
        self.homes.get(&slot(key)).cloned()
    }

    /// Remembers where a slot has moved.
    pub(super) fn learn(&mut self, moved: Moved) {
        self.homes.insert(moved.slot, (moved.host, moved.port));
    }

    /// Forgets a server that does not answer: another one may have taken its slots.
    pub(super) fn forget(&mut self, host: &str, port: u16) {
        self.homes
            .retain(|_, home| (home.0.as_str(), home.1) != (host, port));
    }
}

/// A refusal that names the server of a slot.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    slot: u16,
    pub(super) host: String,
    pub(super) port: u16,
}

impl Moved {
    /// Reads `MOVED 3999 127.0.0.1:6381`. An empty host is that of the server that was `asked`.
    pub(super) fn read(words: &str, asked: &str) -> Option<Self> {
        let mut words = words.split(' ');
        if words.next() != Some("MOVED") {
            return None;
        }
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = if host.is_empty() { asked } else { host };
        Some(Self {
            slot,
            host: host.to_owned(),
            port: port.parse().ok()?,
        })
    }
}

/// The slot of a key: CRC-16/XMODEM modulo 16,384. The keys here have no `{…}`, of which alone the slot would depend.
fn slot(key: &[u8]) -> u16 {
    let crc = key.iter().fold(0u16, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| {
            let shifted = crc << 1;
            if crc & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    });
    crc % 16384
}

#[cfg(test)]
mod tests {
    use super::{Moved, slot};

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(slot(b"123456789"), 0x31C3);
        assert_eq!(slot(b"foo"), 12182);
        assert_eq!(slot(b""), 0);
    }

    #[test]
    fn refusals_name_the_server_of_a_slot() {
        let moved = |host: &str, port| {
            let host = host.to_owned();
            let slot = 3999;
            Some(Moved { slot, host, port })
        };
        assert_eq!(
            Moved::read("MOVED 3999 10.0.0.7:81", "a"),
            moved("10.0.0.7", 81)
        );
        assert_eq!(Moved::read("MOVED 3999 ::1:81", "a"), moved("::1", 81));
        assert_eq!(Moved::read("MOVED 3999 :81", "a"), moved("a", 81));
        for words in [
            "",
            "MOVED",
            "MOVED 1",
            "MOVED x a:1",
            "MOVED 1 a:x",
            "ASK 1 a:1",
            "MOVED 70000 a:1",
        ] {
            assert_eq!(Moved::read(words, "a"), None, "{words}");
        }
    }
}
