//! `pcache-nvcc`: takes nvcc's arguments and nothing else.

fn main() {}
