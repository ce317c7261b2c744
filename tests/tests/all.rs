//! Everything that is tested from outside, in one binary: linking the whole program once is what takes the time.

mod answers;
mod bandwidth;
mod chaos;
mod disks;
mod getting;
mod history;
mod joining;
mod keeping;
mod leaving;
mod liar;
mod machine;
mod meet;
mod plan;
mod removal;
mod root_key;
mod safe;
mod scenarios;
mod second_implementation;
mod small_files;
mod space;
mod stranger;
mod tidy;
mod unseen;
