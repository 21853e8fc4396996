//! How big durable writes are.

/// Writes of up to 1, 2, 4 … 1,024 commands are counted apart.
const SIZES: usize = 11;

/// Durable writes since the start, by how many commands each carried: what group commit achieves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Writes {
    count: u64,
    commands: u64,
    sizes: [u64; SIZES],
}

impl Writes {
    /// One more write, with so many commands.
    pub fn record(&mut self, commands: u64) {
        self.count += 1;
        self.commands += commands;
        let size = commands.max(1).next_power_of_two().trailing_zeros() as usize;
        if let Some(size) = self.sizes.get_mut(size) {
            *size += 1;
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Commands in all of them.
    #[must_use]
    pub fn commands(&self) -> u64 {
        self.commands
    }

    /// How many had at most so many commands, for growing bounds: `(bound, writes)`.
    pub fn up_to(&self) -> impl Iterator<Item = (u64, u64)> {
        let mut sum = 0;
        self.sizes.iter().enumerate().map(move |(power, size)| {
            sum += size;
            (1 << power, sum)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_write_is_counted_under_every_bound_that_it_fits() {
        let mut writes = Writes::default();
        for commands in [0, 1, 2, 3, 1_024, 1_025] {
            writes.record(commands);
        }
        assert_eq!((writes.count(), writes.commands()), (6, 2_055));
        let bounds: Vec<_> = writes.up_to().collect();
        assert_eq!(&bounds[..4], [(1, 2), (2, 3), (4, 4), (8, 4)]);
        assert_eq!(bounds.last(), Some(&(1_024, 5)));
    }
}
