//! The command line: the table of options, how arguments are read, and what nvcc itself makes of them.

mod argv;
mod help;
mod properties;
mod read;
mod real;
mod samples;
