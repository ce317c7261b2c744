#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fsdfs_fuzz::measured(fsdfs_fuzz::config, fsdfs_fuzz::CONFIG_BYTES_PER_BYTE, data);
});
