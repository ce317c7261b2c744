//! The scenarios of `fsdfs_tests::scenario` at reduced sizes.

use fsdfs_tests::cluster::TestProgram;
use fsdfs_tests::scenario::{self, ScenarioScale};

macro_rules! scenarios {
    ($($name:ident)+) => {
        $(#[test]
        fn $name() -> anyhow::Result<()> {
            let line = scenario::$name(TestProgram::binary(env!("CARGO_BIN_EXE_fsdfs-under-test")), ScenarioScale::REDUCED)?;
            println!("{}: {line}", stringify!($name));
            Ok(())
        })+

        #[test]
        fn none_is_left_out() {
            let listed: Vec<&str> = scenario::ALL.iter().map(|(name, _)| *name).collect();
            assert_eq!(listed, [$(stringify!($name)),+]);
        }
    };
}

scenarios! {
    first_start
    round_trip
    friends_join_later
    killed_during_put
    restart_and_lost_index
    changes_while_apart
    newcomer_is_usable
    other_user_is_refused
    bad_input_changes_nothing
}
