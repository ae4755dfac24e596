package dev.lorikeet.training.data;

import static dev.lorikeet.training.data.ExampleFiles.onlyPreference;
import static dev.lorikeet.training.data.ExampleFiles.onlyText;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;

import dev.lorikeet.text.HfTokenizer;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ExampleReaderTest {
  private static final int BOS = GreedyTokenizer.BOS;
  private static final int EOS = GreedyTokenizer.EOS;
  private static final int NO = -100;

  private final GreedyTokenizer tokens = new GreedyTokenizer("the", " sea", "a ", " b");

  @TempDir Path folder;
  private ExampleFiles files;

  @BeforeEach
  void openFolder() {
    files = new ExampleFiles(folder);
  }

  private ExampleReader.Builder builder() {
    return ExampleReader.builder(tokens.size()).tokenizer(tokens);
  }

  private ExampleReader reader() {
    return builder().eosToken(EOS).build();
  }

  @Test
  void aTextIsLearnedWholeFromBosToEos() {
    Example.Text text = onlyText(reader(), files.lines("{'text': 'the sea'}"));
    assertArrayEquals(new int[] {BOS, tokens.id("the"), tokens.id(" sea"), EOS}, text.ids());
    assertSame(text.ids(), text.labels()); // 4 bytes a token
  }

  @Test
  void noEosIsAddedWhereNoneIsSet() {
    Example.Text text = onlyText(builder().build(), files.lines("{'text': 'the sea'}"));
    assertArrayEquals(new int[] {BOS, tokens.id("the"), tokens.id(" sea")}, text.ids());
  }

  @Test
  void noEosIsAddedWhereThereIsOne() {
    Example.Text text = onlyText(reader(), files.lines("{'text': 'the</s>'}"));
    assertArrayEquals(new int[] {BOS, tokens.id("the"), EOS}, text.ids());
  }

  @Test
  void onlyTheCompletionIsLearned() {
    Example.Text text = onlyText(reader(), files.lines("{'prompt': 'the', 'completion': ' sea'}"));
    assertArrayEquals(new int[] {BOS, tokens.id("the"), tokens.id(" sea"), EOS}, text.ids());
    assertArrayEquals(new int[] {NO, NO, tokens.id(" sea"), EOS}, text.labels());
  }

  @Test
  void aTokenOfPromptAndCompletionIsLearned() {
    Example.Text text = onlyText(reader(), files.lines("{'prompt': 'xa', 'completion': ' b'}"));
    assertArrayEquals(
        new int[] {BOS, tokens.id("x"), tokens.id("a "), tokens.id("b"), EOS}, text.ids());
    assertArrayEquals(new int[] {NO, NO, tokens.id("a "), tokens.id("b"), EOS}, text.labels());
  }

  @Test
  void aPreferenceHasOnePromptAndTwoAnswers() {
    Example.Preference pair =
        onlyPreference(
            reader(), files.lines("{'prompt': 'the', 'chosen': ' sea', 'rejected': 'x'}"));
    assertArrayEquals(new int[] {BOS, tokens.id("the")}, pair.prompt());
    assertArrayEquals(new int[] {tokens.id(" sea"), EOS}, pair.chosen());
    assertArrayEquals(new int[] {tokens.id("x"), EOS}, pair.rejected());
  }

  @Test
  void aPromptEndsWhereEitherAnswerChangesItsTokens() {
    Example.Preference pair =
        onlyPreference(reader(), files.lines("{'prompt': 'xa', 'chosen': ' b', 'rejected': 'b'}"));
    assertArrayEquals(new int[] {BOS, tokens.id("x")}, pair.prompt());
    assertArrayEquals(new int[] {tokens.id("a "), tokens.id("b"), EOS}, pair.chosen());
    assertArrayEquals(new int[] {tokens.id("a"), tokens.id("b"), EOS}, pair.rejected());
  }

  @Test
  void aParaphraseIsAPromptInTwoWordingsWithOneCompletion() {
    ExampleSet set =
        reader()
            .read(
                files.lines(
                    "{'prompt': 'the', 'paraphrase': 'xa', 'completion': ' b'}",
                    "{'prompt_ids': [4, 5], 'paraphrase_ids': [6], 'completion_ids': [5, 3]}"));
    Example.Paraphrase pair = (Example.Paraphrase) set.examples().getFirst();
    assertArrayEquals(
        new int[] {BOS, tokens.id("the"), tokens.id(" b"), EOS}, pair.original().ids());
    assertArrayEquals(new int[] {NO, NO, tokens.id(" b"), EOS}, pair.original().labels());
    // The completion's first token holds the end of this wording, too.
    assertArrayEquals(
        new int[] {NO, NO, tokens.id("a "), tokens.id("b"), EOS}, pair.paraphrased().labels());
    assertEquals(1, Example.Paraphrase.lastOfPrompt(pair.paraphrased()));
    Example.Paraphrase ids = (Example.Paraphrase) set.examples().get(1);
    assertArrayEquals(new int[] {4, 5, 5, 3}, ids.original().ids());
    assertArrayEquals(new int[] {NO, 5, 3}, ids.paraphrased().labels());
    assertEquals(7, ids.tokens());
    assertFalse(set.preferences());
  }

  @Test
  void longWordingsAreCut() {
    ExampleReader cutting = builder().eosToken(EOS).maxTokens(4, Overlong.TRUNCATE).build();
    ExampleSet set =
        cutting.read(
            files.lines(
                "{'prompt': 'x', 'paraphrase': 'xx', 'completion': 'y'}",
                "{'prompt': 'x', 'paraphrase': 'xxx', 'completion': 'y'}"));
    Example.Paraphrase pair = (Example.Paraphrase) set.examples().getFirst();
    assertArrayEquals(new int[] {NO, NO, tokens.id("y"), EOS}, pair.original().labels());
    assertArrayEquals(new int[] {NO, NO, NO, tokens.id("y")}, pair.paraphrased().labels());
    assertEquals(1, set.truncated());
    assertEquals(1, set.leftOut()); // its other wording leaves no room for the completion
  }

  @Test
  void tokenIdsAreTakenAsTheyAre() {
    ExampleReader ids = ExampleReader.builder(8).eosToken(2).build();
    Example.Text plain = onlyText(ids, files.lines("{'ids': [7, 0, 3]}"));
    assertArrayEquals(new int[] {7, 0, 3}, plain.ids());
    assertArrayEquals(new int[] {7, 0, 3}, plain.labels());
    Example.Text masked =
        onlyText(ids, files.lines("{'ids': [7, 0, 3], 'labels': [-100, -100, 3]}"));
    assertArrayEquals(new int[] {NO, NO, 3}, masked.labels());
    Example.Preference pair =
        onlyPreference(
            ids, files.lines("{'prompt_ids': [1], 'chosen_ids': [2, 3], 'rejected_ids': [4]}"));
    assertArrayEquals(new int[] {1}, pair.prompt());
    assertArrayEquals(new int[] {2, 3}, pair.chosen());
    assertArrayEquals(new int[] {4}, pair.rejected());
  }

  @Test
  void keysThatAreNullAreNotThere() {
    Example.Text text =
        onlyText(reader(), files.lines("{'text': 'x', 'prompt': null, 'labels': null}"));
    assertEquals(3, text.tokens());
  }

  @Test
  void examplesKeepTheirOrderAndAreCounted() {
    ExampleSet set = reader().read(files.lines("{'text': 'x'}", "", "  ", "{'text': 'yz'}"));
    assertEquals(2, set.examples().size());
    assertFalse(set.preferences());
    assertEquals(3 + 4, set.tokens());
    assertArrayEquals(
        new int[] {BOS, tokens.id("y"), tokens.id("z"), EOS},
        ((Example.Text) set.examples().get(1)).ids());
  }

  @Test
  void theLastLineNeedsNoEndAndWindowsMayHaveWrittenIt() {
    String text = "\uFEFF{\"text\": \"x\"}\r\n\r\n{\"text\": \"y\"}";
    assertEquals(
        2, reader().read(files.bytes(text.getBytes(StandardCharsets.UTF_8))).examples().size());
  }

  @Test
  void longTextsAreCut() {
    ExampleReader cutting = builder().eosToken(EOS).maxTokens(3, Overlong.TRUNCATE).build();
    ExampleSet set =
        cutting.read(
            files.lines(
                "{'text': 'xyz'}",
                "{'prompt': 'xyz', 'completion': 'x'}",
                "{'prompt': 'x', 'completion': 'yz'}",
                "{'text': 'x'}"));
    assertEquals(2, set.truncated());
    assertEquals(1, set.leftOut()); // nothing of its completion is left
    Example.Text first = (Example.Text) set.examples().getFirst();
    assertArrayEquals(new int[] {BOS, tokens.id("x"), tokens.id("y")}, first.ids());
    assertSame(first.ids(), first.labels());
    Example.Text second = (Example.Text) set.examples().get(1);
    assertArrayEquals(new int[] {NO, NO, tokens.id("y")}, second.labels());
    assertEquals(3, set.examples().size());
  }

  @Test
  void longAnswersAreCut() {
    ExampleReader cutting = builder().eosToken(EOS).maxTokens(4, Overlong.TRUNCATE).build();
    ExampleSet set =
        cutting.read(
            files.lines(
                "{'prompt': 'x', 'chosen': 'yyyy', 'rejected': 'z'}",
                "{'prompt': 'xxx', 'chosen': 'y', 'rejected': 'z'}"));
    Example.Preference pair = (Example.Preference) set.examples().getFirst();
    assertArrayEquals(tokens.ids("y", "y"), pair.chosen());
    assertArrayEquals(new int[] {tokens.id("z"), EOS}, pair.rejected());
    assertEquals(1, set.truncated());
    assertEquals(1, set.leftOut()); // its prompt leaves no room for an answer
  }

  @Test
  void longExamplesAreLeftOut() {
    ExampleReader picking = builder().maxTokens(3, Overlong.LEAVE_OUT).build();
    ExampleSet set = picking.read(files.lines("{'text': 'xyz'}", "{'text': 'x'}"));
    assertEquals(1, set.examples().size());
    assertEquals(1, set.leftOut());
    assertEquals(0, set.truncated());
  }

  @Test
  void aTokenizerOfHuggingFaceIsRead() throws IOException {
    Files.writeString(
        folder.resolve("tokenizer.json"),
        """
        {"version": "1.0", "added_tokens": [
           {"id": 0, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true},
           {"id": 1, "content": "</s>", "single_word": false, "lstrip": false, "rstrip": false,
            "normalized": false, "special": true}],
         "pre_tokenizer": {"type": "WhitespaceSplit"},
         "post_processor": {"type": "TemplateProcessing",
           "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}},
                      {"Sequence": {"id": "A", "type_id": 0}},
                      {"SpecialToken": {"id": "</s>", "type_id": 0}}],
           "pair": [{"Sequence": {"id": "A", "type_id": 0}},
                    {"Sequence": {"id": "B", "type_id": 1}}],
           "special_tokens": {"<s>": {"id": "<s>", "ids": [0], "tokens": ["<s>"]},
                              "</s>": {"id": "</s>", "ids": [1], "tokens": ["</s>"]}}},
         "model": {"type": "WordLevel", "unk_token": "<unk>",
                   "vocab": {"<s>": 0, "</s>": 1, "<unk>": 2, "the": 3, "sea": 4}}}
        """);
    Files.writeString(folder.resolve("tokenizer_config.json"), "{\"eos_token\": \"</s>\"}");
    try (HfTokenizer tokenizer = HfTokenizer.open(folder)) {
      assertEquals(1, tokenizer.eosTokenId().orElseThrow());
      ExampleReader reader =
          ExampleReader.builder(5)
              .tokenizer(tokenizer)
              .eosToken(tokenizer.eosTokenId().orElseThrow())
              .build();
      Example.Text text = onlyText(reader, files.lines("{'prompt': 'the', 'completion': ' sea'}"));
      assertArrayEquals(new int[] {0, 3, 4, 1}, text.ids()); // this tokenizer adds EOS by itself
      assertArrayEquals(new int[] {NO, NO, 4, 1}, text.labels());
    }
  }
}
