package dev.lorikeet.jlama.parts;

import java.lang.foreign.MemorySegment;

/**
 * How an adapter changes the output y of a module, its product added: y becomes y + slope * y +
 * offset.
 *
 * @param slope as many float32 as y has columns; zeros where nothing is multiplied
 * @param offset as many float32
 */
record OutputChange(MemorySegment slope, MemorySegment offset) {}
