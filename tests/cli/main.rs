//! `pcache` as a process: every command, on caches and journals of every state.

#[path = "../support/archive.rs"]
mod archive;
#[path = "../support/home.rs"]
mod home;
#[path = "../support/page.rs"]
mod page;
#[path = "../support/random.rs"]
mod random;
#[path = "../support/trace.rs"]
mod trace;

mod cache;
mod config;
mod damage;
mod doctor;
mod explain;
mod export;
mod hints;
mod import;
mod init;
mod pages;
mod pcache;
mod remote;
mod report;
mod settings;
mod stats;
mod terminal;
mod top;
mod trim;
