//! Rows written in few bits with what they bring to values and bounds: one at a time, or all rows of a matrix, packed.
//!
//! Packed rows are one array of bytes: a header of 256, the centre if there is one, 32 bytes of what each row brings, and
//! the tiles of 16 rows and 64 bytes that `simd::narrow` multiplies. Numbers are little endian. It may lie in a file that
//! is mapped into memory, so what the header says is checked before it is believed.

use super::encode::{Form, LANES, write};
use super::frame::Frame;
use super::{BLOCK, TILE, Write, put, up};
use crate::error::{Error, Result};
use crate::matrix::Matrix;
use crate::pool::Context;
use crate::simd;
use crate::simd::narrow::{GROUP, STEP};
use crate::tile::metric::{Metric, RowTraits};
use crate::tile::packed::room;
use crate::tile::reader::{Reader, in_range};
use std::ops::Range;

/// What a row brings to the values of its pairs, and to the bound on their errors: see the module above.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Brings {
    /// What a written 1 is worth.
    pub scale: f32,
    /// 128 times the sum of the written numbers, of 8 bits.
    pub moved: i32,
    pub bias: f32,
    /// What values are multiplied by.
    pub factor: f32,
    pub norm: f32,
    pub lost: f32,
    pub half: f32,
    pub low: f32,
}

// As packed rows have them.
const _: () = assert!(size_of::<Brings>() == 32);

/// Room to write a row.
pub(crate) struct Writer {
    metric: Metric,
    form: Form,
    reader: Reader<f32>,
    bytes: Vec<u64>,
}

/// More than the norm of what rounding elements to the subnormal numbers of float32 takes from a row.
const LEAST: f64 = f32::MIN_POSITIVE as f64;

/// Sums over the elements of a row before and after it is moved.
struct Sums {
    before: f64,
    after: f64,
    with_centre: f64,
}

impl Writer {
    /// Room for rows of this width.
    pub fn new(metric: Metric, form: Form, width: usize) -> Result<Self> {
        let bytes = room(form.steps(width) * STEP / size_of::<u64>(), 0)?;
        Ok(Self { metric, form, reader: Reader::new(metric, width)?, bytes })
    }

    /// What that takes.
    pub fn bytes_for(form: Form, width: usize) -> usize {
        form.steps(width) * STEP + Reader::<f32>::bytes(width)
    }

    /// The row that was written last.
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.bytes)
    }

    /// Writes a row of zeros.
    pub fn clear(&mut self) {
        self.bytes.fill(0);
    }

    /// Writes row `index` of x, or else of y, and says what it brings.
    #[inline(always)]
    pub fn write(&mut self, matrix: &Matrix, of_x: bool, index: usize, frame: &Frame) -> Result<Brings> {
        let width = matrix.width();
        let differences = self.metric.may_be_centred();
        let mut known = None;
        if let Some(values) = matrix.row_slice::<f32>(index) {
            let sums = move_row(values, &frame.centre, &mut self.reader.row);
            if in_range(sums.before) && in_range(sums.after) && sums.before < 1e24 {
                known = Some((self.metric.traits(if differences { sums.after } else { sums.before }), sums));
            }
        }
        let (mut traits, sums) = match known {
            Some(known) => known,
            None => self.read(matrix, of_x, index, frame)?,
        };
        let unmoved = sums.before.sqrt();
        let mut norm = sums.after.sqrt();
        if !differences && !frame.centre.is_empty() {
            let centre = frame.square.sqrt();
            traits.bias = sums.with_centre - 0.5 * frame.square;
            traits.half = unmoved * centre + 0.5 * frame.square;
        }
        if traits.norm.is_infinite() {
            self.bytes.fill(0);
            let infinite = f32::INFINITY;
            return Ok(Brings { norm: infinite, half: infinite, scale: 1.0, factor: 1.0, ..Brings::default() });
        }
        frame.turn(&mut self.reader.row);
        let row = &self.reader.row[..];
        let written = write(self.form, of_x, row, largest(row), norm, &mut self.bytes);
        // What sums in float32 are off by at most.
        let (u, of_sum) = (f64::from(f32::EPSILON) / 2.0, (width / LANES + 8) as f64);
        // Elements below the range of float32 are lost when a row is read.
        norm = norm * (1.0 + of_sum * u) + LEAST;
        let lost = written.lost.sqrt() * (1.0 + of_sum * u)
            + (8.0 + frame.roundings()) * u * norm
            + if frame.centre.is_empty() { 0.0 } else { 2.0 * u * unmoved }
            + LEAST;
        Ok(Brings {
            scale: written.scale,
            moved: if of_x { 0 } else { 128 * written.sum },
            bias: traits.bias as f32,
            factor: traits.scale as f32,
            norm: up(norm),
            lost: up(lost),
            half: up(traits.half),
            low: up(written.low.sqrt() * (1.0 + of_sum * u)),
        })
    }

    /// Reads a row in float64, where another dtype or numbers out of the usual range want it.
    #[cold]
    #[inline(never)]
    fn read(&mut self, matrix: &Matrix, of_x: bool, index: usize, frame: &Frame) -> Result<(RowTraits, Sums)> {
        let differences = self.metric.may_be_centred();
        let moved = differences && !frame.centre.is_empty();
        let traits = self.reader.read(matrix, of_x, moved.then_some(&frame.centre[..]), index)?;
        let squares = |row: &[f32]| row.iter().map(|&value| f64::from(value) * f64::from(value)).sum::<f64>();
        let before = squares(&self.reader.row);
        let mut with_centre = 0.0;
        if !moved {
            for (value, &centre) in self.reader.row.iter_mut().zip(&frame.centre) {
                with_centre += f64::from(*value) * f64::from(centre);
                *value -= centre;
            }
        }
        Ok((traits, Sums { before, after: squares(&self.reader.row), with_centre }))
    }
}

/// Moves a row by a centre, unless there is none.
#[inline(always)]
fn move_row(values: &[f32], centre: &[f32], out: &mut [f32]) -> Sums {
    let (mut before, mut after, mut with_centre) = ([0f32; LANES], [0f32; LANES], [0f32; LANES]);
    let none = [0f32; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    let (whole_out, rest_out) = out.as_chunks_mut::<LANES>();
    let (whole_centre, rest_centre) = centre.as_chunks::<LANES>();
    for (i, (values, out)) in whole.iter().zip(whole_out).enumerate() {
        move_lanes(values, whole_centre.get(i).unwrap_or(&none), out, &mut before, &mut after, &mut with_centre);
    }
    let (mut last, mut last_centre, mut last_out) = (none, none, none);
    last[..rest.len()].copy_from_slice(rest);
    last_centre[..rest_centre.len()].copy_from_slice(rest_centre);
    move_lanes(&last, &last_centre, &mut last_out, &mut before, &mut after, &mut with_centre);
    rest_out.copy_from_slice(&last_out[..rest.len()]);
    let sum = |lanes: [f32; LANES]| lanes.iter().map(|&lane| f64::from(lane)).sum();
    Sums { before: sum(before), after: sum(after), with_centre: sum(with_centre) }
}

/// The same for so many elements: each step is a loop of its own kind of register, which a closure would hide.
#[inline(always)]
fn move_lanes(
    values: &[f32; LANES],
    centre: &[f32; LANES],
    out: &mut [f32; LANES],
    before: &mut [f32; LANES],
    after: &mut [f32; LANES],
    with_centre: &mut [f32; LANES],
) {
    for i in 0..LANES {
        out[i] = values[i] - centre[i];
        before[i] += values[i] * values[i];
        after[i] += out[i] * out[i];
        with_centre[i] += values[i] * centre[i];
    }
}

/// The largest magnitude.
#[inline(always)]
fn largest(row: &[f32]) -> f32 {
    let mut lanes = [0f32; LANES];
    let (whole, rest) = row.as_chunks::<LANES>();
    for values in whole {
        for i in 0..LANES {
            lanes[i] = if values[i].abs() > lanes[i] { values[i].abs() } else { lanes[i] };
        }
    }
    rest.iter().chain(&lanes).fold(0f32, |largest, value| largest.max(value.abs()))
}

/// Bytes of the header.
const HEADER: usize = 256;

/// What a header begins with: what it is, and the version of the layout.
const MAGIC: [u64; 2] = [u64::from_le_bytes(*b"fastpair"), 1];

/// Rows of a matrix, written and packed. See the module's text.
#[derive(Debug, Clone, Copy)]
pub struct PackedRows<'a> {
    form: Form,
    turned: bool,
    centre: &'a [u8],
    brings: &'a [u8],
    tiles: &'a [u8],
    rows: usize,
    steps: usize,
}

/// Where the parts of packed rows begin and end, after the header.
struct Layout {
    centre: usize,
    brings: usize,
    tiles: usize,
}

impl Layout {
    fn new(form: Form, rows: usize, width: usize, has_centre: bool) -> Self {
        let padded = rows.next_multiple_of(BLOCK);
        let centre = if has_centre { (4 * width).next_multiple_of(STEP) } else { 0 };
        Self { centre, brings: padded * size_of::<Brings>(), tiles: padded * form.steps(width) * STEP }
    }

    fn len(&self) -> usize {
        HEADER + self.centre + self.brings + self.tiles
    }
}

impl Brings {
    fn to_bytes(self) -> [u8; 32] {
        let Self { scale, moved, bias, factor, norm, lost, half, low } = self;
        let floats = [bias, factor, norm, lost, half, low].map(f32::to_le_bytes);
        let mut bytes = [0; 32];
        let fields = [scale.to_le_bytes(), moved.to_le_bytes()].into_iter().chain(floats);
        bytes.as_chunks_mut::<4>().0.iter_mut().zip(fields).for_each(|(to, field)| *to = field);
        bytes
    }

    fn of_bytes(bytes: &[u8; 32]) -> Self {
        let fields = bytes.as_chunks::<4>().0;
        let [scale, bias, factor, norm, lost, half, low] = [0, 2, 3, 4, 5, 6, 7].map(|i| f32::from_le_bytes(fields[i]));
        Self { scale, moved: i32::from_le_bytes(fields[1]), bias, factor, norm, lost, half, low }
    }
}

/// The number by which a file knows a form or a metric.
fn code<T: PartialEq>(all: impl IntoIterator<Item = T>, wanted: T) -> u64 {
    all.into_iter().position(|own| own == wanted).map_or(u64::MAX, |place| place as u64)
}

fn metric_code(metric: Metric) -> u64 {
    code(Metric::ALL.iter().map(|&(_, own)| own), metric)
}

impl<'a> PackedRows<'a> {
    /// The packed rows that `bytes` are, if they are those of a matrix of this shape, for this metric.
    pub fn new(bytes: &'a [u8], metric: Metric, [rows, width]: [usize; 2]) -> Result<Self> {
        let wrong = |what: &'static str| Error::Packed { what };
        let (header, rest) = bytes.split_at_checked(HEADER).ok_or(wrong("it is too short"))?;
        let word = |i: usize| u64::from_le_bytes(header.as_chunks::<8>().0[i]);
        if word(0) != MAGIC[0] {
            return Err(wrong("it is something else"));
        }
        if word(1) != MAGIC[1] {
            return Err(wrong("another version of fastpair made it"));
        }
        let form = Form::ALL.get(word(2) as usize).copied().filter(|form| form.is_kept());
        let form = form.ok_or(wrong("its numbers are of no known form"))?;
        if word(3) != metric_code(metric) {
            return Err(wrong("it is for another metric"));
        }
        if [word(4), word(5)] != [rows as u64, width as u64] {
            return Err(wrong("it has another shape than y"));
        }
        let layout = Layout::new(form, rows, width, word(6) & 1 == 1);
        if bytes.len() != layout.len() {
            return Err(wrong("its length is not what its header says"));
        }
        let (centre, rest) = rest.split_at(layout.centre);
        let (brings, tiles) = rest.split_at(layout.brings);
        let centre = if centre.is_empty() { centre } else { &centre[..4 * width] };
        Ok(Self { form, turned: word(6) & 2 == 2, centre, brings, tiles, rows, steps: form.steps(width) })
    }

    /// How many bytes rows take, at most.
    pub fn most_bytes(form: Form, [rows, width]: [usize; 2]) -> usize {
        Layout::new(form, rows, width, true).len()
    }

    /// How numbers are written.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The frame that rows of x must be put into.
    pub(crate) fn frame(&self, width: usize) -> Frame {
        let centre = self.centre.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect();
        Frame::new(centre, self.turned, width)
    }

    /// What some rows bring.
    #[inline(always)]
    pub(crate) fn brings(&self, rows: Range<usize>) -> impl Iterator<Item = Brings> + use<'a> {
        self.brings.as_chunks::<32>().0[rows].iter().map(Brings::of_bytes)
    }

    /// The tiles of some rows, of which the first is a multiple of 16; empty if there are none.
    #[inline(always)]
    pub(crate) fn groups(&self, rows: Range<usize>) -> &'a [u8] {
        if rows.is_empty() {
            return &[];
        }
        assert!(rows.start.is_multiple_of(GROUP) && rows.end <= self.rows, "whole groups of packed rows");
        let group = self.steps * TILE;
        &self.tiles[rows.start / GROUP * group..rows.end.div_ceil(GROUP) * group]
    }

    /// Writes all rows of `y`; `bytes` has [`PackedRows::most_bytes`], of which the result says how many are used.
    pub fn pack(metric: Metric, form: Form, y: Matrix, bytes: &mut [u8], context: &Context) -> Result<usize> {
        let (rows, width) = (y.rows(), y.width());
        let frame = Frame::of(metric, &y, form);
        let layout = Layout::new(form, rows, width, !frame.centre.is_empty());
        let (header, rest) = bytes[..layout.len()].split_at_mut(HEADER);
        header.fill(0);
        let flags = u64::from(!frame.centre.is_empty()) | u64::from(frame.is_turned()) << 1;
        let words = [MAGIC[0], MAGIC[1], code(Form::ALL, form), metric_code(metric), rows as u64, width as u64, flags];
        header.as_chunks_mut::<8>().0.iter_mut().zip(words).for_each(|(to, word)| *to = word.to_le_bytes());
        let (centre, rest) = rest.split_at_mut(layout.centre);
        centre.fill(0);
        let places = centre.as_chunks_mut::<4>().0.iter_mut();
        places.zip(&frame.centre).for_each(|(to, value)| *to = value.to_le_bytes());
        let (brings, tiles) = rest.split_at_mut(layout.brings);
        let steps = form.steps(width);
        // A few hundred blocks at a time.
        let blocks = (1 << 20) / (BLOCK * steps * STEP) + 1;
        let tasks: Vec<_> = brings
            .chunks_mut(blocks * BLOCK * size_of::<Brings>())
            .zip(tiles.chunks_mut(blocks * BLOCK * steps * STEP))
            .enumerate()
            .collect();
        let task = |(part, (brings, tiles)): (usize, (&mut [u8], &mut [u8]))| {
            context.check()?;
            let mut writer = Writer::new(metric, form, width)?;
            let first = part * blocks * BLOCK;
            for (j, place) in brings.as_chunks_mut::<32>().0.iter_mut().enumerate() {
                let index = first + j;
                if index < rows {
                    let write = Write { writer: &mut writer, matrix: &y, of_x: false, index, frame: &frame };
                    *place = simd::call(context.isa, write)?.to_bytes();
                } else {
                    writer.clear();
                    *place = Brings::default().to_bytes();
                }
                put(writer.bytes(), tiles, steps, j);
            }
            Ok(())
        };
        let threads = context.threads_for(rows.saturating_mul(width));
        context.map(threads, tasks, task)?.into_iter().collect::<Result<()>>()?;
        Ok(layout.len())
    }
}
