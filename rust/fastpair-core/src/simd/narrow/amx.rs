//! Products in the tile registers of AMX.
//!
//! Stable Rust has no intrinsics for them, so a block of two by two tiles with its whole loop over the steps of a slice
//! is one piece of assembly. Tiles are state of a thread that must be configured and, so that the system need not save
//! it any longer, released: both happen once in a [`multiply`], and no other code in between uses them.

use super::{Encoding, GROUP, Product, STEP, STRIP, TILE, TOGETHER};
use crate::simd::Strip;
use std::arch::asm;
use std::arch::x86_64::*;
use std::marker::PhantomData;
use std::sync::OnceLock;

/// Steps in a slice at most: those of two groups take 16 KiB and stay in the first cache while all of x passes.
const SLICE: usize = 8;

/// Whether processor and system let this process multiply tiles of that encoding.
pub(super) fn is_open(encoding: Encoding) -> bool {
    /// For [`Encoding::Int8`] and [`Encoding::Bf16`].
    static OPEN: OnceLock<[bool; 2]> = OnceLock::new();
    let [int8, bf16] = *OPEN.get_or_init(|| {
        let [int8, bf16] = has_instructions();
        if (int8 || bf16) && has_permission() { [int8, bf16] } else { [false; 2] }
    });
    match encoding {
        Encoding::Int8 => int8,
        Encoding::Int16 => false,
        Encoding::Bf16 => bf16,
    }
}

/// A leaf of what the processor says of itself; zeros if there is none of that number.
fn leaf(number: u32, part: u32) -> CpuidResult {
    // Newer compilers know that these are safe.
    #[allow(unused_unsafe)]
    // SAFETY: every x86-64 processor has the instruction.
    unsafe {
        if __cpuid(0).eax < number {
            return CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 };
        }
        __cpuid_count(number, part)
    }
}

/// Whether the processor has tiles of the usual shape with products of bytes and of bf16, and the system saves them.
fn has_instructions() -> [bool; 2] {
    let system_saves = leaf(1, 0).ecx >> 27 & 1 == 1;
    // SAFETY: the bit says that the instruction is there and open to programs.
    if !system_saves || unsafe { saved_state() } >> 17 & 3 != 3 {
        return [false; 2];
    }
    let (features, shape) = (leaf(7, 0).edx, leaf(0x1d, 1));
    let eight = shape.ebx >> 16 >= 8 && shape.ebx & 0xffff == STEP as u32 && shape.ecx & 0xffff == GROUP as u32;
    [25, 22].map(|bit| eight && features >> 24 & 1 == 1 && features >> bit & 1 == 1)
}

/// Which registers the system saves.
#[target_feature(enable = "xsave")]
fn saved_state() -> u64 {
    // SAFETY: the feature is enabled, and register 0 exists.
    unsafe { _xgetbv(0) }
}

/// Asks the system for permission to use tiles, which holds for the process from then on.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn has_permission() -> bool {
    const ARCH_PRCTL: i64 = 158;
    const REQUEST: i64 = 0x1023;
    const TILE_DATA: i64 = 18;
    let answer: i64;
    // SAFETY: the call touches no memory of the process; what a system call overwrites is listed.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") ARCH_PRCTL => answer,
            in("rdi") REQUEST,
            in("rsi") TILE_DATA,
            out("rcx") _,
            out("r11") _,
            options(nostack)
        );
    }
    answer == 0
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
fn has_permission() -> bool {
    false
}

/// What is loaded to configure the tiles.
#[repr(C, align(64))]
struct Configuration([u8; 64]);

/// Eight tiles of 16 rows of 64 bytes.
const CONFIGURATION: Configuration = {
    let mut bytes = [0; 64];
    bytes[0] = 1;
    let mut tile = 0;
    while tile < 8 {
        bytes[16 + 2 * tile] = STEP as u8;
        bytes[48 + tile] = GROUP as u8;
        tile += 1;
    }
    Configuration(bytes)
};

/// The configured tiles of this thread, until it is dropped.
struct Tiles(PhantomData<*const ()>);

impl Tiles {
    /// # Safety
    /// [`is_open`] for an encoding, and no other `Tiles` exists in this thread.
    unsafe fn new() -> Self {
        let configuration: &'static Configuration = &CONFIGURATION;
        // SAFETY: the instruction is there by the caller's promise and reads 64 bytes.
        unsafe { asm!("ldtilecfg [{}]", in(reg) configuration, options(nostack, preserves_flags)) };
        Self(PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: the instruction is there, as for `new`.
        unsafe { asm!("tilerelease", options(nostack, preserves_flags)) };
    }
}

/// Where a block is, and how long.
struct Place {
    /// The steps of a strip.
    x: *const u8,
    /// The steps of two groups.
    y: [*const u8; 2],
    steps: usize,
    /// The strips of the rows of the first group; those of the second follow.
    out: *mut Strip<f32>,
    /// Nothing was summed before.
    first: bool,
}

/// `text` if `yes` is 1.
macro_rules! when {
    (1, $($text:literal)+) => {
        concat!($($text),+)
    };
    (0, $($text:literal)+) => {
        ""
    };
}

/// Functions that set or (unless `first`) increase the sums of one or two groups with one or two halves of a strip,
/// which are tiles 0 and 1 for the first group and 2 and 3 for the second. Tiles 4 and 5 are of y, 6 and 7 of x.
macro_rules! blocks {
    ($($name:ident $product:literal $group:tt $half:tt $both:tt;)*) => {
        $(
            /// # Safety
            /// There is a [`Tiles`]; the product is one that the processor has; `place` leads to what it says, with at
            /// least one step (the second group only where it is used).
            #[inline]
            unsafe fn $name(place: Place) {
                const { assert!(size_of::<Strip<f32>>() == 128 && STRIP * GROUP * 4 == 2048 && TILE == 1024) };
                // SAFETY: reads the tiles of x and y of all steps, reads and writes those of the result, as promised.
                unsafe {
                    asm!(
                        "test {first}, {first}",
                        "jz 3f",
                        "tilezero tmm0",
                        when!($half, "tilezero tmm1"),
                        when!($group, "tilezero tmm2"),
                        when!($both, "tilezero tmm3"),
                        "jmp 2f",
                        "3:",
                        "tileloadd tmm0, [{out} + {row} * 1]",
                        when!($half, "tileloadd tmm1, [{out} + {row} * 1 + 64]"),
                        when!($group, "tileloadd tmm2, [{out} + {row} * 1 + 2048]"),
                        when!($both, "tileloadd tmm3, [{out} + {row} * 1 + 2112]"),
                        "2:",
                        "tileloadd tmm4, [{y} + {step} * 1]",
                        "tileloadd tmm6, [{x} + {step} * 1]",
                        concat!($product, " tmm0, tmm4, tmm6"),
                        when!($half, "tileloadd tmm7, [{x} + {step} * 1 + 1024]"),
                        when!($half, $product " tmm1, tmm4, tmm7"),
                        when!($group, "tileloadd tmm5, [{other} + {step} * 1]"),
                        when!($group, $product " tmm2, tmm5, tmm6"),
                        when!($both, $product " tmm3, tmm5, tmm7"),
                        "add {x}, 2048",
                        "add {y}, 1024",
                        "add {other}, 1024",
                        "dec {steps}",
                        "jnz 2b",
                        "tilestored [{out} + {row} * 1], tmm0",
                        when!($half, "tilestored [{out} + {row} * 1 + 64], tmm1"),
                        when!($group, "tilestored [{out} + {row} * 1 + 2048], tmm2"),
                        when!($both, "tilestored [{out} + {row} * 1 + 2112], tmm3"),
                        x = inout(reg) place.x => _,
                        y = inout(reg) place.y[0] => _,
                        other = inout(reg) place.y[1] => _,
                        steps = inout(reg) place.steps => _,
                        out = in(reg) place.out,
                        first = in(reg) usize::from(place.first),
                        row = in(reg) 128usize,
                        step = in(reg) 64usize,
                        out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                        out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                        options(nostack)
                    );
                }
            }
        )*
    };
}

blocks! {
    bytes_1_1 "tdpbsud" 0 0 0;
    bytes_1_2 "tdpbsud" 0 1 0;
    bytes_2_1 "tdpbsud" 1 0 0;
    bytes_2_2 "tdpbsud" 1 1 1;
    floats_1_1 "tdpbf16ps" 0 0 0;
    floats_1_2 "tdpbf16ps" 0 1 0;
    floats_2_1 "tdpbf16ps" 1 0 0;
    floats_2_2 "tdpbf16ps" 1 1 1;
}

/// Turns sums of unsigned bytes into the result.
#[target_feature(enable = "avx512f")]
fn finish(sums: &mut [Strip<f32>], moved: &[i32]) {
    for (sums, &moved) in sums.iter_mut().zip(moved) {
        let moved = _mm512_set1_epi32(moved);
        for half in sums.0.as_chunks_mut::<16>().0 {
            // SAFETY: half a strip is a register.
            unsafe {
                let sum = _mm512_loadu_si512(half.as_ptr().cast());
                _mm512_storeu_ps(half.as_mut_ptr(), _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, moved)));
            }
        }
    }
}

/// The work of [`super::multiply`].
///
/// # Safety
/// [`is_open`] for the encoding, the processor has AVX-512, and the product has the shape that [`super::multiply`]
/// checks.
pub(super) unsafe fn multiply(encoding: Encoding, mut product: Product<'_>) {
    let (steps, rows) = (product.steps, product.groups * GROUP);
    let slice = product.slice(SLICE);
    let parts = product.strips() * steps.div_ceil(slice) * product.groups.div_ceil(TOGETHER);
    let lines = product.lines(parts);
    // SAFETY: open by the caller's promise, and this function is not entered twice in a thread.
    let _tiles = unsafe { Tiles::new() };
    for group in (0..product.groups).step_by(TOGETHER) {
        let groups = TOGETHER.min(product.groups - group);
        for step in (0..steps).step_by(slice) {
            let length = slice.min(steps - step);
            for strip in 0..product.strips() {
                product.next.ask(lines);
                let halves = product.used(strip).div_ceil(STRIP / 2);
                let out = &mut product.out[strip * rows + group * GROUP..][..groups * GROUP];
                let y = product.y.as_ptr().wrapping_add((group * steps + step) * TILE);
                let place = Place {
                    x: product.x.as_ptr().wrapping_add((strip * steps + step) * 2 * TILE),
                    y: [y, y.wrapping_add(steps * TILE)],
                    steps: length,
                    out: out.as_mut_ptr(),
                    first: step == 0,
                };
                // SAFETY: there are tiles; the strip and the groups have the steps, and the result has the rows.
                unsafe {
                    match (encoding, groups, halves) {
                        (Encoding::Int8, 1, 1) => bytes_1_1(place),
                        (Encoding::Int8, 1, _) => bytes_1_2(place),
                        (Encoding::Int8, _, 1) => bytes_2_1(place),
                        (Encoding::Int8, _, _) => bytes_2_2(place),
                        (_, 1, 1) => floats_1_1(place),
                        (_, 1, _) => floats_1_2(place),
                        (_, _, 1) => floats_2_1(place),
                        (_, _, _) => floats_2_2(place),
                    }
                }
                if encoding == Encoding::Int8 && step + length == steps {
                    // SAFETY: the processor has the instructions by the caller's promise.
                    unsafe { finish(out, &product.moved[group * GROUP..]) };
                }
            }
        }
    }
}
