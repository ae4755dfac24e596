package dev.lorikeet.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;

/** Writes the fields of a message; {@link Unpacker} reads them in the same order. */
public final class Packer {
  private ByteBuffer bytes = ByteBuffer.allocate(256).order(ByteOrder.nativeOrder());

  /** Creates a message without fields. */
  public Packer() {}

  private ByteBuffer room(long more) {
    if (bytes.remaining() < more) {
      int size = Math.toIntExact(Math.max(2L * bytes.capacity(), bytes.position() + more));
      bytes =
          ByteBuffer.wrap(Arrays.copyOf(bytes.array(), size))
              .order(ByteOrder.nativeOrder())
              .position(bytes.position());
    }
    return bytes;
  }

  /** Adds a number. */
  public Packer put(int value) {
    room(Integer.BYTES).putInt(value);
    return this;
  }

  /** Adds a number. */
  public Packer put(long value) {
    room(Long.BYTES).putLong(value);
    return this;
  }

  /** Adds a number, bit for bit. */
  public Packer put(double value) {
    room(Double.BYTES).putDouble(value);
    return this;
  }

  /** Adds a number, bit for bit. */
  public Packer put(float value) {
    room(Float.BYTES).putFloat(value);
    return this;
  }

  /** Adds numbers, and before them how many. */
  public Packer put(int... values) {
    put(values.length);
    ByteBuffer to = room((long) Integer.BYTES * values.length);
    for (int value : values) {
      to.putInt(value);
    }
    return this;
  }

  /** Adds numbers, and before them how many. */
  public Packer put(double... values) {
    put(values.length);
    ByteBuffer to = room((long) Double.BYTES * values.length);
    for (double value : values) {
      to.putDouble(value);
    }
    return this;
  }

  /** Adds numbers, and before them how many. */
  public Packer put(float... values) {
    put(values.length);
    ByteBuffer to = room((long) Float.BYTES * values.length);
    for (float value : values) {
      to.putFloat(value);
    }
    return this;
  }

  /** Adds a text, and before it its length. */
  public Packer put(String text) {
    byte[] utf8 = text.getBytes(UTF_8);
    put(utf8.length);
    room(utf8.length).put(utf8);
    return this;
  }

  /** Adds zeros up to a multiple of an alignment, a power of two. */
  public Packer align(int alignment) {
    int zeros = -bytes.position() & (alignment - 1);
    room(zeros).put(new byte[zeros]);
    return this;
  }

  /** Returns what was added so far. */
  public MemorySegment segment() {
    return MemorySegment.ofArray(bytes.array()).asSlice(0, bytes.position());
  }

  byte[] bytes() {
    return Arrays.copyOf(bytes.array(), bytes.position());
  }
}
