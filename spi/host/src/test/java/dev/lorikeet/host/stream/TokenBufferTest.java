package dev.lorikeet.host.stream;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.lorikeet.model.GeneratedToken;
import dev.lorikeet.routing.Mixture;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.junit.jupiter.api.Test;

class TokenBufferTest {
  private static GeneratedToken random(Random random, int index, boolean withMixtures) {
    int length =
        switch (random.nextInt(20)) {
          case 0 -> 0;
          case 1 -> random.nextInt(6000); // longer than a chunk
          default -> random.nextInt(8);
        };
    StringBuilder text = new StringBuilder();
    for (int i = 0; i < length; i++) {
      text.append((char) random.nextInt(Character.MAX_VALUE + 1));
    }
    return GeneratedToken.of(
        index,
        random.nextInt(),
        text.toString(),
        random.nextFloat(),
        withMixtures ? Optional.of(Mixture.of("a" + random.nextInt(5))) : Optional.empty());
  }

  @Test
  void everyCursorGivesWhatWasAppendedWhenItIsRead() {
    long seed = System.nanoTime();
    Random random = new Random(seed);
    for (int round = 0; round < 50; round++) {
      boolean withMixtures = random.nextBoolean();
      int count = random.nextInt(random.nextBoolean() ? 10 : 3000);
      TokenBuffer buffer = new TokenBuffer(Math.max(1, count), withMixtures);
      List<GeneratedToken> expected = new ArrayList<>();
      List<GeneratedToken> read = new ArrayList<>();
      TokenBuffer.Cursor early = buffer.cursor();
      for (int i = 0; i < count; i++) {
        GeneratedToken token = random(random, i, withMixtures);
        expected.add(token);
        buffer.append(token.id(), token.logProbability(), token.text(), token.mixture());
        while (early.hasNext() && random.nextInt(3) > 0) {
          read.add(early.next());
        }
      }
      while (early.hasNext()) {
        read.add(early.next());
      }
      List<GeneratedToken> late = new ArrayList<>();
      for (TokenBuffer.Cursor cursor = buffer.cursor(); cursor.hasNext(); ) {
        late.add(cursor.next());
      }
      assertEquals(count, buffer.count(), "seed " + seed);
      assertEquals(expected, read, "seed " + seed);
      assertEquals(expected, late, "seed " + seed);
    }
  }

  @Test
  void aTokenThatIsNotThereIsRefused() {
    TokenBuffer buffer = new TokenBuffer(1, false);
    TokenBuffer.Cursor cursor = buffer.cursor();
    assertFalse(cursor.hasNext());
    buffer.append(1, 0f, "a", Optional.empty());
    cursor.next();
    assertThrows(IllegalStateException.class, cursor::next);
  }
}
