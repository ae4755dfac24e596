package dev.lorikeet.training.data;

import java.io.Closeable;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.util.Arrays;

/**
 * The lines of a file, one at a time. Holds at most the longest line that is allowed and one
 * buffer; of longer lines it says only that they are.
 */
final class Lines implements Closeable {
  private static final int BUFFER = 1 << 16;
  private static final byte[] BYTE_ORDER_MARK = {(byte) 0xEF, (byte) 0xBB, (byte) 0xBF};

  private final FileChannel channel;
  private final int most;

  private byte[] buffer = new byte[BUFFER];
  private int from; // what is read and not given out yet
  private int to;

  private long number;
  private int start;
  private int end;
  private boolean tooLong;

  /**
   * Reads from where a channel stands.
   *
   * @param most how many bytes a line may have
   */
  Lines(FileChannel channel, int most) {
    this.channel = channel;
    this.most = most;
  }

  /** Goes to the next line, and returns false where there is none. */
  boolean next() throws IOException {
    number++;
    tooLong = false;
    int scanned = from;
    while (true) {
      while (scanned < to && buffer[scanned] != '\n') {
        scanned++;
      }
      if (scanned < to) {
        take(scanned);
        from = scanned + 1;
        return true;
      }
      if (to - from > most + BYTE_ORDER_MARK.length + 1) {
        tooLong = true;
        from = to;
      }
      int unread = to - from;
      if (!fill()) {
        boolean any = unread > 0 || tooLong;
        take(to);
        from = to;
        return any;
      }
      scanned = from + unread;
    }
  }

  /** Reads more behind what is not given out yet, which it moves to the front. */
  private boolean fill() throws IOException {
    System.arraycopy(buffer, from, buffer, 0, to - from);
    to -= from;
    from = 0;
    if (to == buffer.length) {
      buffer = Arrays.copyOf(buffer, 2 * buffer.length);
    }
    int read = channel.read(ByteBuffer.wrap(buffer, to, buffer.length - to));
    to += Math.max(0, read);
    return read >= 0;
  }

  private void take(int newline) {
    start = from;
    end = newline > from && buffer[newline - 1] == '\r' ? newline - 1 : newline;
    if (number == 1
        && end - start >= BYTE_ORDER_MARK.length
        && Arrays.equals(buffer, start, start + BYTE_ORDER_MARK.length, BYTE_ORDER_MARK, 0, 3)) {
      start += BYTE_ORDER_MARK.length;
    }
    tooLong |= end - start > most;
  }

  /** Returns the number of this line, from 1. */
  long number() {
    return number;
  }

  /** Returns whether this line has more bytes than allowed. */
  boolean tooLong() {
    return tooLong;
  }

  /** Returns whether there is nothing but white space in this line. */
  boolean blank() {
    for (int i = start; i < end; i++) {
      if (buffer[i] != ' ' && buffer[i] != '\t' && buffer[i] != '\r') {
        return false;
      }
    }
    return !tooLong;
  }

  /** Returns the bytes of this line, without its end; valid until the next one is asked for. */
  ByteBuffer bytes() {
    return ByteBuffer.wrap(buffer, start, end - start).slice();
  }

  @Override
  public void close() throws IOException {
    channel.close();
  }
}
