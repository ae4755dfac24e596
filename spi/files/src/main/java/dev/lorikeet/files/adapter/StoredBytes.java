package dev.lorikeet.files.adapter;

import java.io.IOException;
import java.nio.ByteBuffer;

/** The bytes of an adapter's weights, in one file or in several as if they followed one another. */
@FunctionalInterface
public interface StoredBytes {
  /**
   * Reads until a buffer is full, within one file.
   *
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} if the file ends
   *     before
   */
  void readFully(ByteBuffer buffer, long position) throws IOException;
}
