//! Random numbers, and edits that add lines which say nothing.

/// A small generator of random numbers (splitmix64).
pub struct Random(pub u64);

impl Random {
    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % limit as u64).unwrap()
    }

    /// One of `many`.
    pub fn pick<'m, T>(&mut self, many: &'m [T]) -> &'m T {
        &many[self.below(many.len())]
    }
}

/// Adds one of `lines`, which say nothing, and takes away a blank one below if it can.
pub fn edit(random: &mut Random, text: &str, said: &[&str]) -> String {
    let mut lines: Vec<&str> = text.lines().collect();
    let mut in_raw = false;
    let free: Vec<bool> = lines
        .iter()
        .map(|line| {
            let was = in_raw;
            in_raw = (in_raw || line.contains("R\"x(")) && !line.contains(")x\"");
            !was
        })
        .collect();
    // The first one names the file.
    let mut at = 1 + random.below(lines.len() - 1);
    while !free[at] {
        at = 1 + random.below(lines.len() - 1);
    }
    if random.below(3) > 0 {
        let blank = (at..lines.len()).find(|&line| free[line] && lines[line].is_empty());
        blank.map(|line| lines.remove(line));
    }
    let said: &&str = random.pick(said);
    lines.insert(at, said);
    lines.join("\n") + "\n"
}
