//! The shared level: what one machine has compiled, another one gets from a real server, and what is wrong with a server
//! costs no build anything but time.

mod farm;
mod faults;
mod helper;
mod kills;
mod kinds;
mod lists;
mod origin;
mod races;
mod requests;
mod trust;
mod values;
