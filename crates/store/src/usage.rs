//! How much of the database this process uses at a moment: connections of a pool, or the queue and the log of a file.
//! Leaves telling it to the program.

/// What is in use; the two engines are short of different things.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Usage {
    /// Connections to PostgreSQL.
    Pool {
        /// How many there may be.
        max: usize,
        /// How many there are.
        open: usize,
        /// How many of them somebody has.
        in_use: usize,
        /// How many wait for one.
        waiting: usize,
    },
    /// The embedded database.
    File {
        /// Reads and batches that wait for a thread.
        jobs_waiting: usize,
        /// How long the write-ahead log is, in pages of 4 KiB.
        log_pages: i64,
    },
}
