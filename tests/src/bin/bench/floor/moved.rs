//! What a floor is measured in.

/// Some mebibytes moved.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    pub mib: f64,
    pub s: f64,
    pub cpu_s: f64,
}

impl Moved {
    pub fn mib_per_s(self) -> f64 {
        self.mib / self.s
    }

    pub fn cpu_s_per_gib(self) -> f64 {
        self.cpu_s / self.mib * 1024.0
    }
}
