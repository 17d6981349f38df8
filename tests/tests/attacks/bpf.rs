//! Runs functions of the XDP object instruction by instruction (RFC 9669) and notes which instructions ran and what
//! memory they touched: what a clock could see of them, without a clock.

use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SectionIndex};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

const INSTRUCTION: usize = 8;
/// Where everything lies. Zero is no address.
const RODATA: usize = 0x1000;
const STACK: usize = 0x8000;
const FRAME: usize = 512;
const MEMORY: usize = 0x10000;
/// No function of ours takes longer.
const MOST: u64 = 1_000_000;
const PSEUDO_CALL: usize = 1;

/// What one run did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    pub result: u64,
    /// How many instructions ran.
    pub instructions: u64,
    /// Which ones, and at which addresses they read and wrote, in order.
    pub trace: u64,
}

/// The functions of an object, and memory to run them on.
pub struct Machine {
    text: Vec<u8>,
    rodata: Vec<u8>,
    entries: Vec<(String, usize)>,
    memory: Vec<u8>,
}

impl Machine {
    /// Reads the object. Functions that use maps cannot be run.
    pub fn new(object: &[u8]) -> Self {
        let file = object::File::parse(object).unwrap();
        let text = file.section_by_name(".text").unwrap();
        let rodata = file.section_by_name(".rodata").unwrap();
        let mut code = text.data().unwrap().to_vec();
        for (offset, relocation) in text.relocations() {
            let RelocationTarget::Symbol(symbol) = relocation.target() else {
                continue;
            };
            let symbol = file.symbol_by_index(symbol).unwrap();
            let at = usize::try_from(offset).unwrap();
            let value = i32::try_from(symbol.address()).unwrap();
            let in_section = |index: SectionIndex| symbol.section_index() == Some(index);
            let immediate = if in_section(rodata.index()) {
                i32::try_from(RODATA).unwrap() + value + immediate(&code, at)
            } else if in_section(text.index()) {
                (value - i32::try_from(at).unwrap()) / 8 - 1
            } else {
                continue;
            };
            code[at + 4..at + 8].copy_from_slice(&immediate.to_le_bytes());
        }
        let entries = file
            .symbols()
            .filter(|symbol| symbol.section_index() == Some(text.index()))
            .map(|symbol| {
                let at = usize::try_from(symbol.address()).unwrap();
                (symbol.name().unwrap().to_owned(), at / INSTRUCTION)
            })
            .collect();
        Self {
            text: code,
            rodata: rodata.data().unwrap().to_vec(),
            entries,
            memory: Vec::new(),
        }
    }

    /// Calls a function with pointers to copies of these, which lie at the same places each time; an empty one is null.
    pub fn call(&mut self, function: &str, arguments: [&[u8]; 3]) -> Run {
        self.memory = vec![0; MEMORY];
        self.memory[RODATA..RODATA + self.rodata.len()].copy_from_slice(&self.rodata);
        let mut registers = [0; 11];
        for (number, argument) in arguments.into_iter().enumerate() {
            let at = 0x4000 + number * 0x400;
            self.memory[at..at + argument.len()].copy_from_slice(argument);
            registers[number + 1] = if argument.is_empty() { 0 } else { at as u64 };
        }
        registers[10] = (STACK + FRAME) as u64;
        let entry = self.entries.iter().find(|(name, _)| name == function);
        self.run(entry.unwrap().1, registers)
    }

    fn run(&mut self, entry: usize, mut registers: [u64; 11]) -> Run {
        let mut next = entry;
        let mut callers: Vec<(usize, [u64; 4], u64)> = Vec::new();
        let mut trace = DefaultHasher::new();
        for instructions in 1..MOST {
            let at = next * INSTRUCTION;
            let opcode = self.text[at];
            let (destination, source) = (
                usize::from(self.text[at + 1] & 0xF),
                usize::from(self.text[at + 1] >> 4),
            );
            let offset = i16::from_le_bytes([self.text[at + 2], self.text[at + 3]]);
            let immediate = immediate(&self.text, at);
            // Immediates are signed, whatever is done with them.
            let operand = if opcode & 0x08 == 0 {
                i64::from(immediate).cast_unsigned()
            } else {
                registers[source]
            };
            next.hash(&mut trace);
            next += 1;
            match opcode & 0x07 {
                0 => {
                    assert_eq!(opcode, 0x18, "an instruction that only maps need");
                    let high = self::immediate(&self.text, at + INSTRUCTION).cast_unsigned();
                    registers[destination] = u64::from(immediate.cast_unsigned()) | u64::from(high) << 32;
                    next += 1;
                }
                1 => {
                    let address = address(registers[source], offset);
                    address.hash(&mut trace);
                    let mut bytes = [0; 8];
                    let size = size(opcode);
                    bytes[..size].copy_from_slice(&self.memory[address..address + size]);
                    registers[destination] = u64::from_le_bytes(bytes);
                }
                class @ (2 | 3) => {
                    let address = address(registers[destination], offset);
                    address.hash(&mut trace);
                    let value = if class == 2 {
                        i64::from(immediate).cast_unsigned()
                    } else {
                        registers[source]
                    };
                    let size = size(opcode);
                    self.memory[address..address + size].copy_from_slice(&value.to_le_bytes()[..size]);
                }
                4 | 7 => {
                    registers[destination] = arithmetic(opcode, registers[destination], operand, immediate);
                }
                _ => match opcode {
                    0x85 => {
                        assert_eq!(source, PSEUDO_CALL, "a helper of the kernel");
                        let saved = [6, 7, 8, 9].map(|register| registers[register]);
                        callers.push((next, saved, registers[10]));
                        registers[10] += FRAME as u64;
                        next = jump(next, immediate);
                    }
                    0x95 => {
                        let Some((caller, saved, frame)) = callers.pop() else {
                            return Run {
                                result: registers[0],
                                instructions,
                                trace: trace.finish(),
                            };
                        };
                        registers[6..10].copy_from_slice(&saved);
                        registers[10] = frame;
                        next = caller;
                    }
                    _ if condition(opcode, registers[destination], operand) => {
                        next = jump(next, offset.into());
                    }
                    _ => {}
                },
            }
        }
        panic!("it does not end");
    }
}

fn immediate(code: &[u8], at: usize) -> i32 {
    i32::from_le_bytes(code[at + 4..at + 8].try_into().unwrap())
}

fn address(base: u64, offset: i16) -> usize {
    usize::try_from(base.wrapping_add_signed(offset.into())).unwrap()
}

fn jump(next: usize, distance: i32) -> usize {
    next.strict_add_signed(distance.try_into().unwrap())
}

/// How many bytes a load or store moves.
fn size(opcode: u8) -> usize {
    assert_eq!(opcode & 0xE0, 0x60, "an atomic or legacy access");
    [4, 2, 1, 8][usize::from(opcode >> 3 & 3)]
}

fn arithmetic(opcode: u8, left: u64, right: u64, immediate: i32) -> u64 {
    let wide = opcode & 0x07 == 7;
    let (left, right) = if wide {
        (left, right)
    } else {
        (left & 0xFFFF_FFFF, right & 0xFFFF_FFFF)
    };
    let bits = if wide { 63 } else { 31 };
    let result = match opcode >> 4 {
        0x0 => left.wrapping_add(right),
        0x1 => left.wrapping_sub(right),
        0x2 => left.wrapping_mul(right),
        0x4 => left | right,
        0x5 => left & right,
        0x6 => left << (right & bits),
        0x7 => left >> (right & bits),
        0x8 => left.wrapping_neg(),
        0xA => left ^ right,
        0xB => right,
        0xD => {
            assert!(!wide, "an unconditional swap");
            let bytes = usize::try_from(immediate / 8).unwrap();
            let mut value = left.to_le_bytes();
            if opcode & 0x08 != 0 {
                value[..bytes].reverse();
            }
            value[bytes..].fill(0);
            return u64::from_le_bytes(value);
        }
        _ => panic!("arithmetic {opcode:#04x}"),
    };
    if wide { result } else { result & 0xFFFF_FFFF }
}

fn condition(opcode: u8, left: u64, right: u64) -> bool {
    let (left, right) = if opcode & 0x07 == 5 {
        (left, right)
    } else {
        (left & 0xFFFF_FFFF, right & 0xFFFF_FFFF)
    };
    match opcode >> 4 {
        0x0 => true,
        0x1 => left == right,
        0x2 => left > right,
        0x3 => left >= right,
        0x4 => left & right != 0,
        0x5 => left != right,
        0xA => left < right,
        0xB => left <= right,
        _ => panic!("jump {opcode:#04x}"),
    }
}
