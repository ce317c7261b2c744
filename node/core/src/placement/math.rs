//! Whole-number arithmetic of spec 03-placement §2. No floating point: it would not agree between machines.

/// One replica, in the unit of targets and probabilities.
pub(super) const ONE: u64 = 1 << 28;

/// 2^40 * log2(1 + k/2048), cut to whole numbers. Made by the compiler.
static TABLE: [u64; 2049] = table();

/// What a block brings along: the first sixteen bytes of its id.
#[derive(Clone, Copy, Debug)]
pub struct PlacementKey {
    pub(super) a: u64,
    pub(super) b: u64,
}

impl PlacementKey {
    /// The key of the block with this id.
    pub fn of(id: &[u8; 32]) -> Self {
        let (first, _) = id.split_first_chunk().expect("32 bytes begin with 16");
        let both = u128::from_be_bytes(*first);
        Self { a: (both >> 64) as u64, b: both as u64 }
    }

    /// A uniform number for this block and the disk or site with this seed.
    #[inline]
    pub fn draw(self, seed: u64) -> u64 {
        mix(mix(self.a ^ seed) ^ self.b)
    }

    /// An exponential number for this block and the disk or site with this seed, 1 to 2^46.
    #[inline]
    pub fn exponential(self, seed: u64) -> u64 {
        exponential(self.draw(seed))
    }
}

/// A 64-bit finaliser: every input bit reaches every output bit.
#[inline]
pub(super) fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// -log2(u / 2^64) in units of 2^-40: exponential if `u` is uniform.
#[inline]
pub(super) fn exponential(u: u64) -> u64 {
    let u = u | 1;
    let zeros = u64::from(u.leading_zeros());
    let m = u << zeros;
    let (step, rest) = ((m >> 52 & 0x7ff) as usize, m >> 20 & 0xffff_ffff);
    let (low, high) = (TABLE[step], TABLE[step + 1]);
    ((zeros + 1) << 40) - (low + (((high - low) * rest) >> 32))
}

/// A draw below which [`exponential`] is never less than `e` (1 or more): the beginning of the step of [`TABLE`] in which that is, so
/// a few draws above it are no less either.
pub(super) fn least_draw(e: u64) -> u64 {
    let zeros = (e - 1) >> 40;
    if zeros > 63 {
        return 0;
    }
    let digits = ((zeros + 1) << 40) - e;
    let step = TABLE.partition_point(|entry| *entry <= digits) as u64 - 1;
    // Even, because an exponential number looks at `u | 1`.
    ((2048 + step) << 52 >> zeros) & !1
}

pub(super) fn product(x: u64, y: u64) -> u128 {
    u128::from(x) * u128::from(y)
}

/// `x * y / z`, rounded down.
pub(super) fn scale(x: u64, y: u64, z: u64) -> u64 {
    if let Some(product) = x.checked_mul(y) {
        // Most are this small, and dividing 128 bits takes several times as long.
        return product / z;
    }
    let quotient = product(x, y) / u128::from(z);
    u64::try_from(quotient).expect("the callers' ranges (spec 03-placement) keep this below 2^63")
}

const fn table() -> [u64; 2049] {
    let mut table = [1 << 40; 2049];
    let mut k = 0;
    while k < 2048 {
        table[k] = log2(k as u64);
        k += 1;
    }
    table
}

/// The digits of a logarithm by squaring: the square of x is 2 or more where the next binary digit is 1.
const fn log2(k: u64) -> u64 {
    let mut x = (2048 + k) << 52;
    let mut digits = 0;
    let mut left = 40;
    while left > 0 {
        let square = x as u128 * x as u128;
        let digit = (square >> 127) as u64;
        digits = digits << 1 | digit;
        x = (square >> (63 + digit)) as u64;
        left -= 1;
    }
    digits
}

#[cfg(test)]
pub(super) fn table_entries() -> &'static [u64; 2049] {
    &TABLE
}
