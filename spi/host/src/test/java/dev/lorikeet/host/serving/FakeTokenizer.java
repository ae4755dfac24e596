package dev.lorikeet.host.serving;

import dev.lorikeet.text.StreamDecoder;
import dev.lorikeet.text.Tokenizer;
import java.util.Arrays;
import java.util.stream.Collectors;

/** One token for each character, whose code is the id. */
final class FakeTokenizer implements Tokenizer {
  @Override
  public int[] encode(String text, boolean addSpecialTokens) {
    return text.chars().map(c -> c < SteppedServing.VOCABULARY ? c : '?').toArray();
  }

  @Override
  public String decode(int[] ids, boolean skipSpecialTokens) {
    return Arrays.stream(ids).mapToObj(Character::toString).collect(Collectors.joining());
  }

  @Override
  public StreamDecoder stream(boolean skipSpecialTokens) {
    return new StreamDecoder() {
      @Override
      public CharSequence next(int id) {
        return Character.toString(id);
      }

      @Override
      public CharSequence finish() {
        return "";
      }
    };
  }

  @Override
  public void close() {}
}
