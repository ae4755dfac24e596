package dev.lorikeet.jlama.generator;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.github.tjake.jlama.model.llama.LlamaTokenizer;
import com.github.tjake.jlama.safetensors.tokenizer.Tokenizer;
import dev.lorikeet.Lorikeet;
import dev.lorikeet.model.AdapterChoice;
import dev.lorikeet.tiny.TinyModel;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

class LorikeetTokenizerTest {
  private static final List<String> TEXTS =
      List.of(
          "The people of the", " In the  beginning", "water (noun): 42!", "naïve façade, 猫", "");

  private static Lorikeet lorikeet;
  private static Tokenizer tokenizer;
  private static Tokenizer jlamas;

  @BeforeAll
  static void open() {
    TinyModel tiny = TinyModel.extract();
    lorikeet = Lorikeet.builder(tiny.base()).poolBytes(8 << 20).modelOption("threads", "1").open();
    tokenizer = LorikeetGenerator.of(lorikeet, new AdapterChoice.None()).getTokenizer();
    jlamas = new LlamaTokenizer(tiny.base());
  }

  @AfterAll
  static void close() {
    lorikeet.close();
  }

  @Test
  void idsAreThoseThatTheModelReadsWithoutTheFirst() {
    for (String text : TEXTS) {
      List<Integer> all = lorikeet.model().encode(text);
      long[] rest = all.subList(1, all.size()).stream().mapToLong(Integer::longValue).toArray();
      assertArrayEquals(rest, tokenizer.encode(text), text);
    }
  }

  @Test
  void whereJlamaIsRightIdsAndTextsAreTheSame() {
    for (String text : TEXTS.subList(0, 3)) {
      long[] ids = tokenizer.encode(text);
      assertArrayEquals(jlamas.encode(text), ids, text);
      for (long id : ids) {
        assertEquals(jlamas.decode(id), tokenizer.decode(id), text + ": " + id);
      }
    }
  }

  @Test
  void tokensDecodeToTheTextTogetherAndOneByOne() {
    for (String text : TEXTS) {
      assertEquals(text, tokenizer.decode(tokenizer.encode(text)));
    }
    for (String text : TEXTS.subList(0, 3)) {
      assertEquals(
          text,
          Arrays.stream(tokenizer.encode(text))
              .mapToObj(tokenizer::decode)
              .collect(Collectors.joining()));
      assertEquals(text, String.join("", tokenizer.tokenize(text)));
    }
  }

  @Test
  void specialTokensShowTheirText() {
    assertEquals("</s>", tokenizer.decode(2));
    assertArrayEquals(new long[] {1}, tokenizer.encode("<s>"));
    long[] ids = tokenizer.encode("<s>The ship</s> sails");
    assertEquals(1, ids[0]);
    assertEquals("<s>The ship</s> sails", tokenizer.decode(ids));
    assertTrue(tokenizer.getModel().isSpecialToken(2));
  }
}
