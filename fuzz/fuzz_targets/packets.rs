#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    fsdfs_fuzz::measured(fsdfs_fuzz::packets, fsdfs_fuzz::BYTES_PER_BYTE, data);
});
