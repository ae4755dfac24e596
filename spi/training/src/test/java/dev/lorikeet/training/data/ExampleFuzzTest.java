package dev.lorikeet.training.data;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.List;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

/**
 * Random damage to files of examples: they are refused as the API says, or read. More of it with
 * {@code -Dlorikeet.fuzz.mutations=N}, the same again with {@code -Dlorikeet.fuzz.seed=N}.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class ExampleFuzzTest {
  private static final int MUTATIONS = Integer.getInteger("lorikeet.fuzz.mutations", 500);
  private static final String TEXTS =
      """
      {"text": "the sea\\n"}
      {"prompt": "x", "completion": "y"}
      {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}
      {"ids": [1, 5, 7], "labels": [-100, 5, 7]}
      """;
  private static final String PREFERENCES =
      """
      {"prompt": "x", "chosen": "y", "rejected": "z"}
      {"prompt_ids": [1], "chosen_ids": [5, 7], "rejected_ids": [6]}
      """;

  private static final String PARAPHRASES =
      """
      {"prompt": "x", "paraphrase": "xx", "completion": "the sea"}
      {"prompt_ids": [1], "paraphrase_ids": [5, 7], "completion_ids": [6]}
      """;

  @TempDir Path folder;

  @Test
  void damagedFilesAreReadOrRefused() {
    long seed = Long.getLong("lorikeet.fuzz.seed", new Random().nextLong());
    Random random = new Random(seed);
    Damage damage = new Damage(random);
    ExampleFiles files = new ExampleFiles(folder);
    GreedyTokenizer tokens = new GreedyTokenizer("<|end|>");
    ExampleReader.Builder builder =
        ExampleReader.builder(tokens.size())
            .tokenizer(tokens)
            .chatTemplate(
                files.template(
                    "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}<|end|>{% endfor %}"
                        + "{% if add_generation_prompt %}assistant: {% endif %}"))
            .eosToken(GreedyTokenizer.EOS)
            .maxLineBytes(500);
    List<ExampleReader> readers =
        List.of(builder.build(), builder.maxTokens(4, Overlong.TRUNCATE).build());
    int refused = 0;
    for (int n = 0; n < MUTATIONS; n++) {
      byte[] original =
          List.of(TEXTS, PREFERENCES, PARAPHRASES)
              .get(random.nextInt(3))
              .getBytes(StandardCharsets.UTF_8);
      byte[] changed = damage.of(original);
      String report =
          "seed " + seed + ", mutation " + n + ": " + new String(changed, StandardCharsets.UTF_8);
      try {
        readers.get(n % 2).read(files.bytes(changed)).examples().forEach(e -> check(e, tokens));
      } catch (LorikeetException e) {
        assertEquals(LorikeetException.Code.DATA_INVALID, e.code(), report);
        refused++;
      } catch (RuntimeException | Error e) {
        throw new AssertionError(report, e);
      }
    }
    assertTrue(refused > MUTATIONS / 10, refused + " refused, seed " + seed);
  }

  private static void check(Example example, GreedyTokenizer tokens) {
    switch (example) {
      case Example.Text text -> {
        for (int t = 0; t < text.tokens(); t++) {
          int id = text.ids()[t];
          int label = text.labels()[t];
          assertTrue(id >= 0 && id < tokens.size() && (label == id || label == -100));
        }
        assertTrue(Shortened.hasLoss(text.labels()));
      }
      case Example.Preference pair -> assertTrue(pair.tokens() >= 4);
      case Example.Paraphrase pair -> {
        check(pair.original(), tokens);
        check(pair.paraphrased(), tokens);
      }
    }
  }
}
