//! `pcache`: the program for people.

fn main() {}
