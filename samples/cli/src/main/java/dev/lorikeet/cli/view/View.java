package dev.lorikeet.cli.view;

import dev.lorikeet.model.GeneratedToken;
import java.util.List;

/** Shows a batch while it is decoded. Called from one thread. */
public interface View extends AutoCloseable {
  /** A token of a sequence came. */
  default void token(int sequence, GeneratedToken token) {}

  /** No more tokens are waiting to be shown just now. */
  default void refresh() {}

  /** All sequences ended. */
  default void end(List<Outcome> outcomes) {}

  /** Leaves the terminal as it was. */
  @Override
  default void close() {}
}
