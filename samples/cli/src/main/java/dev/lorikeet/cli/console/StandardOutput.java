package dev.lorikeet.cli.console;

import dev.lorikeet.LorikeetException;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.OutputStream;

/**
 * The standard output of a process. Writers and print streams keep it to themselves when nothing
 * can be written any more; this says so, once, so that a command ends that nobody reads, as {@code
 * head} leaves it, or that a full disk takes no more of.
 */
final class StandardOutput extends OutputStream {
  private final FileOutputStream out;
  private boolean failed;

  StandardOutput(FileOutputStream out) {
    this.out = out;
  }

  /** What is thrown when the reader of the output is gone. */
  static final class Gone extends RuntimeException {
    private static final long serialVersionUID = 1L;

    Gone(IOException cause) {
      super("the reader of the standard output is gone", cause);
    }
  }

  @Override
  public void write(int b) {
    write(new byte[] {(byte) b}, 0, 1);
  }

  @Override
  public void write(byte[] bytes, int offset, int length) {
    if (failed) {
      return;
    }
    try {
      out.write(bytes, offset, length);
    } catch (IOException e) {
      failed = true;
      LorikeetException known = LorikeetException.ofFiles("writing the standard output", e);
      throw known.code() == LorikeetException.Code.STORAGE_FULL ? known : new Gone(e);
    }
  }
}
