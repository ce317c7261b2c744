//! How much is measured.

/// Who asks for small files at once.
pub const CALLERS: usize = 8;

/// What was asked for on the command line.
#[derive(Clone, Copy, Debug)]
pub struct BenchScale {
    /// Of a large file.
    pub bytes: u64,
    /// Small files.
    pub files: usize,
    /// Small files in one folder.
    pub small_files: usize,
    /// Names in a folder.
    pub names: usize,
    /// Through the nodes in each direction, while memory is watched.
    pub memory_bytes: u64,
    /// Of rest.
    pub idle_s: u64,
}
