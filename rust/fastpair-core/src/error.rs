//! Everything that can go wrong, as data. The text a user reads is made here, once.

use thiserror::Error;

/// Why a computation could not be done. Indices count elements of the argument, from 0.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum Error {
    /// An argument has a dtype that the operation cannot use.
    #[error("{argument} has dtype {dtype}, which cannot be used here; {advice}")]
    Dtype {
        /// Name of the argument.
        argument: &'static str,
        /// The dtype seen.
        dtype: String,
        /// What to pass instead.
        advice: &'static str,
    },
    /// Bytes that are not the packed rows they should be.
    #[error("packed cannot be used: {what}; pack these rows of y anew")]
    Packed {
        /// What is wrong.
        what: &'static str,
    },
    /// Two arguments that must be equally long are not.
    #[error("{argument} has {seen} elements but scores has {expected}; pass one entry of {argument} per score")]
    Length {
        /// Name of the argument.
        argument: &'static str,
        /// Its length.
        seen: usize,
        /// The length it must have.
        expected: usize,
    },
    /// More than two label values.
    #[error(
        "labels holds more than two distinct values ({first}, {second} and {third} at index {index}); \
         pass 0/1, -1/1 or bool labels, one class against the rest"
    )]
    NotBinary {
        /// A value seen.
        first: String,
        /// Another one.
        second: String,
        /// The third one.
        third: String,
        /// Where the third one stands.
        index: usize,
    },
    /// Two label values of which none is known to be the positive one.
    #[error("labels holds {first} and {second}, which are neither 0/1 nor -1/1; say which is positive with pos_label=")]
    WhichPositive {
        /// A value seen.
        first: String,
        /// The other one.
        second: String,
    },
    /// `pos_label` is none of the two values seen.
    #[error("pos_label={pos_label} is not in labels, which holds {first} and {second}")]
    NoSuchLabel {
        /// The value asked for.
        pos_label: String,
        /// A value seen.
        first: String,
        /// The other one.
        second: String,
    },
    /// A NaN where a number is needed.
    #[error("{argument} is NaN at index {index}; {advice}")]
    NotANumber {
        /// Name of the argument.
        argument: &'static str,
        /// The first index that holds one.
        index: usize,
        /// How to go on.
        advice: &'static str,
    },
    /// A number outside the range it must be in.
    #[error("{argument} is {value} at index {index}; {advice}")]
    OutOfRange {
        /// Name of the argument.
        argument: &'static str,
        /// The value seen.
        value: String,
        /// Where it stands.
        index: usize,
        /// What is allowed.
        advice: &'static str,
    },
    /// An embedding that is not finite.
    #[error("{argument} is {value} at row {row}, column {column}; embeddings must be finite: drop or repair such rows")]
    NotFinite {
        /// Name of the argument.
        argument: &'static str,
        /// The value seen.
        value: String,
        /// Its row.
        row: usize,
        /// Its column.
        column: usize,
    },
    /// A row outside the unit ball of the Poincare model.
    #[error("row {row} of {argument} has norm {norm}; points of the Poincare ball have a norm below 1")]
    OutsideBall {
        /// Name of the argument.
        argument: &'static str,
        /// The row.
        row: usize,
        /// Its norm.
        norm: f64,
    },
    /// More hits than the caller has room for.
    #[error("there are more than max_hits={max_hits} hits; narrow the threshold or raise max_hits")]
    TooManyHits {
        /// The limit.
        max_hits: usize,
    },
    /// A list that is too long to be put in order.
    #[error("a list has {items} items; lists of more than 4294967295 items can only have two grades")]
    TooManyItems {
        /// How many it has.
        items: usize,
    },
    /// More groups than codes.
    #[error("groups holds more than 4294967294 distinct ids; split the data by groups")]
    TooManyGroups,
    /// Offsets that do not cut the rows into groups.
    #[error(
        "offsets is {value} at index {index}; offsets must begin with 0, never decrease and end with {rows}, the number of scores"
    )]
    Offsets {
        /// The offset seen.
        value: usize,
        /// Where it stands.
        index: usize,
        /// The number of rows.
        rows: usize,
    },
    /// No offsets at all.
    #[error("offsets is empty; g groups need g + 1 offsets, from 0 to the number of scores")]
    NoOffsets,
    /// Scores said to be sorted are not.
    #[error("scores is not sorted {order}: element {index} is out of order; sort the scores or drop presorted=")]
    NotSorted {
        /// The order promised.
        order: &'static str,
        /// The first element that breaks it.
        index: usize,
    },
    /// An instruction-set level that does not exist or that this processor lacks.
    #[error("FASTPAIR_ISA={wanted} is not available on this machine; choose one of: {available}")]
    Isa {
        /// The level asked for.
        wanted: String,
        /// The levels there are.
        available: String,
    },
    /// The input was not the same in two passes over it.
    #[error("the arrays were changed by another thread while they were read")]
    Changed,
    /// An error in one series of several.
    #[error("{error} (in series {series} of the batch, counted in C order)")]
    InSeries {
        /// The series, counted in C order.
        series: usize,
        /// What is wrong with it.
        error: Box<Error>,
    },
    /// `FASTPAIR_NUM_THREADS` is no number of threads.
    #[error("FASTPAIR_NUM_THREADS={seen} is not a number of threads; set it to 1 or more")]
    ThreadsFromEnv {
        /// Its value.
        seen: String,
    },
    /// A buffer could not be allocated.
    #[error("not enough memory for a working buffer of {bytes} bytes")]
    OutOfMemory {
        /// Size of the buffer.
        bytes: usize,
    },
    /// Not even one thread can work in the memory that the caller allows.
    #[error("max_memory is {most} bytes, but this call needs {needed} on one thread; pass at least that")]
    Scratch {
        /// What one thread needs, with what is held already.
        needed: usize,
        /// The bound.
        most: usize,
    },
    /// Worker threads could not be started.
    #[error("could not start {threads} worker threads; lower num_threads")]
    Threads {
        /// How many were wanted.
        threads: usize,
    },
    /// The caller asked to stop.
    #[error("interrupted")]
    Interrupted,
}

/// The result of everything that can fail in this crate.
pub type Result<T> = std::result::Result<T, Error>;
