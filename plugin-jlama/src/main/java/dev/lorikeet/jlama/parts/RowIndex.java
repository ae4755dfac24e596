package dev.lorikeet.jlama.parts;

import dev.lorikeet.adapter.PartSpec;

/** Which row of a part is a token's. */
final class RowIndex {
  private RowIndex() {}

  /** Returns the row of a token, -1 if the part has none. */
  static int of(PartSpec rows, int token) {
    return rows.indices().isEmpty() ? token : rows.indices().indexOf(token);
  }
}
