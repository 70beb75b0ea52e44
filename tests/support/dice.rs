//! Chance that can be repeated.

/// A small seeded generator (xorshift64*): the same seed gives the same test.
pub(crate) struct Dice(u64);

impl Dice {
    /// From `QUARTERDECK_SEED`, else from the clock; says which.
    pub(crate) fn new() -> Self {
        let seed = std::env::var("QUARTERDECK_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| {
                let since = std::time::SystemTime::now()
                    .duration_since(std::time::UNIX_EPOCH)
                    .expect("clock");
                since.as_nanos() as u64 | 1
            });
        eprintln!("QUARTERDECK_SEED={seed}");
        Self(seed.max(1))
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) % limit
    }
}
