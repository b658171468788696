//! Each mechanism that nothing lost rests on, switched off in the real processes: the suite sees the harm.
//! Leaves the same for each mechanism alone to the tests of `store` and `engine`.
