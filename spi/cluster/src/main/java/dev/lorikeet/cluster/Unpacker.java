package dev.lorikeet.cluster;

import static java.nio.charset.StandardCharsets.UTF_8;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Reads the fields that a {@link Packer} wrote; what does not fit its bounds is refused. */
public final class Unpacker {
  private final String sender;
  private final MemorySegment bytes;
  private long at;

  /**
   * Reads a message from its beginning.
   *
   * @param sender who sent it, for errors
   */
  public Unpacker(String sender, MemorySegment bytes) {
    this.sender = sender;
    this.bytes = bytes;
  }

  Unpacker(String sender, byte[] bytes) {
    this(sender, MemorySegment.ofArray(bytes));
  }

  private long next(long count) {
    if (count < 0 || count > bytes.byteSize() - at) {
      throw new LorikeetException(
          Code.MEMBER_LOST,
          sender
              + ": expected "
              + count
              + " more bytes in its message, found "
              + (bytes.byteSize() - at));
    }
    long from = at;
    at += count;
    return from;
  }

  /** Returns the next number. */
  public int getInt() {
    return bytes.get(ValueLayout.JAVA_INT_UNALIGNED, next(Integer.BYTES));
  }

  /** Returns the next number. */
  public long getLong() {
    return bytes.get(ValueLayout.JAVA_LONG_UNALIGNED, next(Long.BYTES));
  }

  /** Returns the next number. */
  public double getDouble() {
    return bytes.get(ValueLayout.JAVA_DOUBLE_UNALIGNED, next(Double.BYTES));
  }

  /** Returns the next number. */
  public float getFloat() {
    return bytes.get(ValueLayout.JAVA_FLOAT_UNALIGNED, next(Float.BYTES));
  }

  /** Returns the next numbers. */
  public int[] getInts() {
    return slice(Integer.BYTES).toArray(ValueLayout.JAVA_INT_UNALIGNED);
  }

  /** Returns the next numbers. */
  public double[] getDoubles() {
    return slice(Double.BYTES).toArray(ValueLayout.JAVA_DOUBLE_UNALIGNED);
  }

  /** Returns the next numbers. */
  public float[] getFloats() {
    return slice(Float.BYTES).toArray(ValueLayout.JAVA_FLOAT_UNALIGNED);
  }

  /** Returns the next text. */
  public String getText() {
    return new String(slice(Byte.BYTES).toArray(ValueLayout.JAVA_BYTE), UTF_8);
  }

  private MemorySegment slice(int each) {
    return take((long) getInt() * each);
  }

  /** Returns the next bytes, where they are. */
  public MemorySegment take(long count) {
    return bytes.asSlice(next(count), count);
  }

  /** Returns all that is left, where it is. */
  public MemorySegment rest() {
    return take(bytes.byteSize() - at);
  }

  /** Passes over bytes up to a multiple of an alignment. */
  public Unpacker align(int alignment) {
    next(-at & (alignment - 1));
    return this;
  }
}
