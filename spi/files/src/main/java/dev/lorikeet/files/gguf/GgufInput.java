package dev.lorikeet.files.gguf;

import dev.lorikeet.files.Faults;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;

/** Reads the header of a GGUF file from its beginning on, through a buffer, and counts. */
final class GgufInput {
  /** Ten times what the largest vocabularies take. */
  private static final long MAX_HEADER_BYTES = 256L << 20;

  /** What is made of a header takes some eight times its bytes. */
  private static final long FITS = Runtime.getRuntime().maxMemory() / 8;

  private static final String LEFT = ", truncated, or too large for the heap (-Xmx)";

  private static final int BUFFER_BYTES = 1 << 16;

  private final Faults faults;
  private final Path file;
  private final FileChannel channel;
  private final long end;
  private final ByteBuffer buffer =
      ByteBuffer.allocate(BUFFER_BYTES).order(ByteOrder.LITTLE_ENDIAN).limit(0);
  private long bufferStart;

  GgufInput(Faults faults, Path file, FileChannel channel) throws IOException {
    this.faults = faults;
    this.file = file;
    this.channel = channel;
    this.end = Math.min(channel.size(), Math.min(MAX_HEADER_BYTES, FITS));
  }

  /** Returns how many bytes were read. */
  long position() {
    return bufferStart + buffer.position();
  }

  /** Returns how many bytes a header may still have. */
  long left() {
    return end - position();
  }

  /** Returns an unsigned number of 32 bits. */
  int number(String what) throws IOException {
    fill(what, Integer.BYTES);
    return buffer.getInt();
  }

  /** Returns a number of 64 bits from 0 to {@code most}. */
  long count(String what, long most) throws IOException {
    fill(what, Long.BYTES);
    long count = buffer.getLong();
    if (count < 0 || count > most) {
      throw faults.invalid(where(what), "from 0 to " + most, Long.toUnsignedString(count));
    }
    return count;
  }

  /** Returns a text of at most so many bytes. */
  String text(String what, int most) throws IOException {
    byte[] bytes = bytes(what, count(what + ": length", most));
    try {
      return StandardCharsets.UTF_8.newDecoder().decode(ByteBuffer.wrap(bytes)).toString();
    } catch (CharacterCodingException e) {
      throw faults.invalid(where(what), "UTF-8", "a malformed sequence of bytes", e);
    }
  }

  /** Returns so many bytes, which must be there. */
  byte[] bytes(String what, long count) throws IOException {
    if (count > left()) {
      throw faults.invalid(where(what), count + " more bytes of header", left() + LEFT);
    }
    byte[] bytes = new byte[(int) count];
    int at = 0;
    while (at < bytes.length) {
      int some = Math.min(bytes.length - at, BUFFER_BYTES);
      fill(what, some);
      buffer.get(bytes, at, some);
      at += some;
    }
    return bytes;
  }

  /** Makes sure that so many bytes are in the buffer. */
  private void fill(String what, int bytes) throws IOException {
    if (buffer.remaining() >= bytes) {
      return;
    }
    if (bytes > left()) {
      throw faults.invalid(where(what), bytes + " more bytes of header", left() + LEFT);
    }
    bufferStart += buffer.position();
    buffer.compact();
    while (buffer.position() < bytes) {
      if (channel.read(buffer, bufferStart + buffer.position()) < 0) {
        throw faults.invalid(where(what), bytes + " more bytes of header", "the end, truncated");
      }
    }
    buffer.flip();
  }

  private String where(String what) {
    return what.startsWith(file.toString()) ? what : file + ": " + what;
  }
}
