package dev.lorikeet.files.adapter;

import dev.lorikeet.adapter.AdapterText;
import dev.lorikeet.adapter.PartSpec;
import dev.lorikeet.adapter.TargetSpec;
import java.io.Closeable;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;

/**
 * An open file of an adapter whose description has been read and checked; its weights have not.
 * Used by one thread.
 */
public interface AdapterFile extends Closeable {
  /** Returns the file that holds the weights, for messages. */
  Path path();

  /** Returns the target modules, sorted by layer and projection. */
  List<TargetSpec> targets();

  /** Returns what it has beside the factors of its target modules. */
  default List<PartSpec> parts() {
    return List.of();
  }

  /** Returns a stamp of the file that holds the weights. */
  FileStamp stamp();

  /** Returns the name of the base model that the adapter was trained on, if it is recorded. */
  Optional<String> baseModel();

  /**
   * Reads what the adapter's other files say of texts; of none by default.
   *
   * @param rows how many tokens the base model has rows for
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_UNSUPPORTED} if the adapter's
   *     tokenizer has tokens beyond them
   */
  default Optional<AdapterText> text(int rows) {
    return Optional.empty();
  }

  /**
   * Reads all weights once, in a fixed order.
   *
   * @return a digest of all of them
   * @throws dev.lorikeet.LorikeetException with code {@code ADAPTER_INVALID} if the file is
   *     truncated, or what the sink throws
   */
  long read(WeightSink sink) throws IOException;

  @Override
  void close() throws IOException;
}
