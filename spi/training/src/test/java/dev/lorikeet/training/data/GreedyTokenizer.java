package dev.lorikeet.training.data;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.text.StreamDecoder;
import dev.lorikeet.text.Tokenizer;
import java.util.ArrayList;
import java.util.List;

/** The longest piece that fits goes first; texts begin with BOS, and those with a bell fail. */
final class GreedyTokenizer implements Tokenizer {
  static final int BOS = 1;
  static final int EOS = 2;

  private final List<String> pieces = new ArrayList<>(List.of("<unk>", "<s>", "</s>"));

  /** Knows all ASCII characters, and more pieces. */
  GreedyTokenizer(String... more) {
    for (char c = 0; c < 128; c++) {
      pieces.add(String.valueOf(c));
    }
    pieces.addAll(List.of(more));
  }

  int size() {
    return pieces.size();
  }

  int id(String piece) {
    return pieces.indexOf(piece);
  }

  int[] ids(String... tokens) {
    return List.of(tokens).stream().mapToInt(this::id).toArray();
  }

  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    if (text.indexOf('\u0007') >= 0) {
      throw new LorikeetException(Code.INVALID_REQUEST, "text: expected no bell, found one");
    }
    List<Integer> ids = new ArrayList<>();
    if (addSpecialTokens) {
      ids.add(BOS);
    }
    for (int at = 0; at < text.length(); ) {
      int best = 0;
      for (int id = 0; id < pieces.size(); id++) {
        if (text.startsWith(pieces.get(id), at)
            && (best == 0 || pieces.get(id).length() > pieces.get(best).length())) {
          best = id;
        }
      }
      ids.add(best);
      at += best == 0 ? 1 : pieces.get(best).length();
    }
    return ids.stream().mapToInt(Integer::intValue).toArray();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    StringBuilder text = new StringBuilder();
    for (int id : ids) {
      text.append(pieces.get(id));
    }
    return text.toString();
  }

  @Override
  public StreamDecoder stream(boolean skipSpecialTokens) {
    throw new UnsupportedOperationException("nobody streams here");
  }

  @Override
  public void close() {}
}
