package dev.lorikeet.text;

import dev.lorikeet.LorikeetException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;

/*
 * Each mutation has a seed of its own, made from that of the run and its number, so that any one
 * can be repeated alone. What counts as found: an exception other than a LorikeetException, a call
 * that does not return, and the end of the process, which is why this is one.
 */

/** Opens mutated tokenizers and uses them; a program of its own, since it may be ended by one. */
final class TokenizerFuzz {
  /** How long one mutation may take; generous, since it only tells long from endless. */
  private static final int HANG_SECONDS = 60;

  private static final int OPENED = 3;
  private static final int FOUND = 10;

  private static final List<String> TEXTS =
      List.of(
          "",
          "The sea is calm, isn't it? 1234 <s></s><mask> [SEP]",
          " ".repeat(300) + "a\n\n \t  \n" + "e".repeat(300),
          "e\u0301\u0301 ﬁ ① 日本語、テスト 🙂🧑‍🚀 \u00a0 \u202e ﷺ \0 é",
          "ThThTh the  th\n##ing </w> ▁ <0xE2><0x0A>");

  private final Path directory;
  private final AtomicLong started = new AtomicLong();

  private TokenizerFuzz(Path directory) {
    this.directory = directory;
  }

  /** Takes a folder to write in, the seed, the number of the first mutation and how many. */
  public static void main(String[] args) throws IOException {
    TokenizerFuzz fuzz = new TokenizerFuzz(Path.of(args[0]));
    long seed = Long.parseLong(args[1]);
    int first = Integer.parseInt(args[2]);
    int opened = 0;
    Thread.ofPlatform().daemon().start(fuzz::watch);
    for (int i = first; i < first + Integer.parseInt(args[3]); i++) {
      System.out.println(i);
      fuzz.started.incrementAndGet();
      try {
        if (fuzz.mutation(seed, i)) {
          opened++;
        }
      } catch (RuntimeException | Error e) {
        e.printStackTrace(System.out);
        Runtime.getRuntime().halt(FOUND);
      }
    }
    System.out.println("opened " + opened);
    System.exit(opened == 0 ? OPENED : 0);
  }

  /** Counts the seconds that it sees itself: a process that was stopped for a while hangs not. */
  private void watch() {
    long seen = 0;
    for (int seconds = 0; seconds < HANG_SECONDS; ) {
      try {
        TimeUnit.SECONDS.sleep(1);
      } catch (InterruptedException e) {
        return;
      }
      long mutation = started.get();
      seconds = mutation == seen ? seconds + 1 : 0;
      seen = mutation;
    }
    System.out.println("hangs");
    Runtime.getRuntime().halt(FOUND);
  }

  /** Returns whether the tokenizer was one that opens. */
  private boolean mutation(long seed, int number) throws IOException {
    Random random = new Random(seed + number * 0x9E3779B97F4A7C15L);
    String kind = SmallTokenizers.KINDS.get(number % SmallTokenizers.KINDS.size());
    byte[] file = new TokenizerMutations(SmallTokenizers.of(kind), random).apply();
    Files.write(directory.resolve("tokenizer.json"), file);
    try (HfTokenizer tokenizer = HfTokenizer.open(directory)) {
      for (String text : TEXTS) {
        use(tokenizer, text);
      }
      if (random.nextInt(40) == 0) {
        String unit = List.of(" ", "a", "e ", "\n", "\u0301", "the ").get(random.nextInt(6));
        use(tokenizer, unit.repeat(60_000 / unit.length()) + "b");
      }
      int[] ids = random.ints(60, -1, tokenizer.vocabularySize() + 2).toArray();
      tokenizer.decode(ids, random.nextBoolean());
      return true;
    } catch (LorikeetException e) {
      return false;
    }
  }

  private static void use(HfTokenizer tokenizer, String text) {
    try {
      tokenizer.checkLength(text, 100_000);
      int[] ids = tokenizer.encode(text, true);
      tokenizer.decode(ids, false);
      StreamDecoder stream = tokenizer.stream(true);
      for (int id : ids) {
        stream.next(id);
      }
      stream.finish();
    } catch (LorikeetException e) {
      // a text that the tokenizer does not encode
    }
  }
}
