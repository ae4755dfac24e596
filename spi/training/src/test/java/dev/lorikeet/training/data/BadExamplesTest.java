package dev.lorikeet.training.data;

import static dev.lorikeet.training.data.ExampleFiles.refused;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.Collections;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** What is refused, and how. */
class BadExamplesTest {
  private final GreedyTokenizer tokens = new GreedyTokenizer();
  private final ExampleReader reader =
      ExampleReader.builder(tokens.size()).tokenizer(tokens).maxLineBytes(200).build();

  @TempDir Path folder;
  private ExampleFiles files;

  @BeforeEach
  void openFolder() {
    files = new ExampleFiles(folder);
  }

  private String refusedLine(String line, String... words) {
    return refused(reader, files.lines("{'text': 'fine'}", line), words);
  }

  @Test
  void oneBadLineIsNamed() {
    String message = refusedLine("{'text': 7}");
    assertEquals(folder.resolve("data.jsonl") + ": line 2: text: expected text, found 7", message);
  }

  @Test
  void severalBadLinesAreNamedAndTheOthersCounted() {
    String[] lines = Collections.nCopies(8, "{'text': ''}").toArray(new String[0]);
    String message =
        refused(reader, files.lines(lines), ": 8 bad lines: line 1: text", "; and 3 more");
    assertTrue(message.contains("line 5: ") && !message.contains("line 6: "), message);
  }

  @Test
  void aFileOfBadLinesIsNotReadToItsEnd() {
    String[] lines = Collections.nCopies(5000, "[]").toArray(new String[0]);
    refused(reader, files.lines(lines), "1000 bad lines and perhaps more");
  }

  @Test
  void otherJson() {
    refusedLine("[1]", "line 2: expected a JSON object");
    refusedLine("{'text': 'x'", "line 2: expected well-formed JSON");
    refusedLine("{'text': 'x'} {'text': 'y'}", "line 2: expected well-formed JSON");
    refusedLine("{'text': 'x', 'text': 'y'}", "line 2: expected well-formed JSON, found Duplicate");
    refusedLine("{\u2019text\u2019: 1}", "line 2: expected well-formed JSON");
  }

  @Test
  void bytesThatAreNotUtf8() {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    bytes.writeBytes("{\"text\": \"fine\"}\n{\"text\": \"".getBytes(StandardCharsets.UTF_8));
    bytes.write(0xC3);
    bytes.writeBytes("\"}\n".getBytes(StandardCharsets.UTF_8));
    refused(reader, files.bytes(bytes.toByteArray()), "line 2: expected UTF-8, found a malformed");
  }

  @Test
  void keysThatNobodyKnows() {
    refusedLine(
        "{'promt': 'x', 'completion': 'y'}",
        "line 2: unknown key 'promt'; did you mean 'prompt'? known are chosen, ");
    refusedLine("{'source': 'x', 'text': 'y'}", "unknown key 'source'; known are ");
  }

  @Test
  void keysThatDoNotBelongTogether() {
    String expected = "line 2: expected text; or prompt and completion; or messages; or ";
    refusedLine("{}", expected, "found none of them");
    refusedLine("{'text': 'x', 'prompt': 'y'}", expected, "found prompt, text");
    refusedLine("{'prompt': 'y', 'chosen': 'y'}", expected, "found chosen, prompt");
    refusedLine("{'labels': [1]}", expected, "found labels");
    refusedLine("{'prompt': 'y', 'paraphrase': 'y'}", expected, "found paraphrase, prompt");
    refusedLine(
        "{'prompt': 'y', 'paraphrase': 'z', 'completion': 'x'}",
        "expected a text as in line 1, found a paraphrase");
  }

  @Test
  void emptyTexts() {
    refusedLine("{'text': ''}", "line 2: text: expected text, found an empty one");
    refusedLine("{'prompt': '', 'completion': 'x'}", "prompt: expected text, found an empty one");
    refusedLine("{'prompt': 'x', 'completion': ''}", "completion: expected text, found an empty");
    refusedLine("{'ids': []}", "line 2: ids: expected at least one token, found none");
    refusedLine(
        "{'prompt_ids': [1], 'chosen_ids': [], 'rejected_ids': [1]}", "chosen_ids: expected at");
  }

  @Test
  void nothingToLearn() {
    refusedLine(
        "{'ids': [3]}", "line 2: expected at least one token to be learned behind the first");
    refusedLine("{'ids': [3, 4], 'labels': [3, -100]}", "found 2 tokens, none of them");
  }

  @Test
  void idsOutsideOfTheVocabulary() {
    int size = tokens.size();
    String expected = "expected a token id from 0 to " + (size - 1) + ", found ";
    refusedLine("{'ids': [0, " + size + "]}", "line 2: ids[1]: " + expected + size);
    refusedLine("{'ids': [-1]}", "ids[0]: " + expected);
    refusedLine("{'ids': [4294967297]}", "ids[0]: " + expected);
    refusedLine("{'ids': [1.5]}", "ids[0]: " + expected);
    refusedLine("{'ids': ['a']}", "ids[0]: " + expected);
    refusedLine("{'ids': 'a'}", "ids: expected a list of token ids");
    ExampleReader smaller = ExampleReader.builder(50).tokenizer(tokens).build();
    refused(
        smaller,
        files.lines("{'text': 'x'}"),
        "text: expected a text whose tokens are below the model's vocabulary of 50, found the"
            + " tokenizer's "
            + tokens.id("x"));
  }

  @Test
  void labelsThatAreNotTheTokens() {
    refusedLine("{'ids': [3, 4], 'labels': [4, 5]}", "labels[0]: expected the id of that token, 3");
    refusedLine(
        "{'ids': [3, 4], 'labels': [3, -1]}", "labels[1]: expected the id of that token, 4");
    refusedLine("{'ids': [3, 4], 'labels': [3]}", "labels: expected as many as ids, 2, found");
  }

  @Test
  void longLines() {
    refusedLine("{'text': '" + "x".repeat(200) + "'}", "line 2: expected at most 200 bytes");
    refused(
        reader,
        files.lines("x".repeat(1 << 20), "{'text': 'fine'}", "{}"),
        "2 bad lines: line 1: expected at most 200 bytes, found more; line 3: ");
  }

  @Test
  void longSequences() {
    ExampleReader strict = ExampleReader.builder(9).maxTokens(3, Overlong.REFUSE).build();
    refused(
        strict,
        files.lines("{'ids': [1, 2, 3]}", "{'ids': [1, 2, 3, 4]}"),
        "line 2: expected at most 3 tokens a sequence",
        "found 4");
    refused(
        strict,
        files.lines("{'prompt_ids': [1, 2], 'chosen_ids': [1], 'rejected_ids': [1, 2]}"),
        "line 1: expected at most 3 tokens a sequence",
        "found 4");
  }

  @Test
  void textsAndPreferencesInOneFile() {
    refusedLine(
        "{'prompt': 'x', 'chosen': 'y', 'rejected': 'z'}",
        "line 2: expected a text as in line 1, found a preference");
  }

  @Test
  void answersOfAnotherKindThanThePrompt() {
    refusedLine(
        "{'prompt': 'x', 'completion': [{'role': 'assistant', 'content': 'y'}]}",
        "completion: expected text as the prompt is, found a list of 1");
    refusedLine(
        "{'prompt': [{'role': 'user', 'content': 'x'}], 'completion': 'y'}",
        "completion: expected messages as the prompt is");
  }

  @Test
  void textsWithoutATokenizerAndMessagesWithoutATemplate() {
    ExampleReader ids = ExampleReader.builder(9).build();
    refused(ids, files.lines("{'text': 'x'}"), "text: expected token ids, since there is no");
    refusedLine(
        "{'messages': [{'role': 'user', 'content': 'x'}]}",
        "messages: expected texts, since the model has no chat template");
  }

  @Test
  void textsThatTheTokenizerRefuses() {
    refusedLine("{'text': 'x\\u0007'}", "line 2: text: text: expected no bell, found one");
  }

  @Test
  void filesWithoutExamples() {
    refused(reader, files.lines("", " "), "data.jsonl: expected at least one example, found none");
    refused(reader, folder.resolve("none.jsonl"), "none.jsonl: expected a regular file");
    refused(reader, folder, "expected a regular file, found a directory");
    ExampleReader picking = ExampleReader.builder(9).maxTokens(2, Overlong.LEAVE_OUT).build();
    refused(picking, files.lines("{'ids': [1, 2, 3]}"), "found none but 1 that are too long");
  }

  @Test
  void settingsOfTheReader() {
    assertThrows(IllegalArgumentException.class, () -> ExampleReader.builder(0));
    ExampleReader.Builder builder = ExampleReader.builder(9);
    assertThrows(IndexOutOfBoundsException.class, () -> builder.eosToken(9));
    assertThrows(IllegalArgumentException.class, () -> builder.maxTokens(1, Overlong.REFUSE));
    assertThrows(IllegalArgumentException.class, () -> builder.maxLineBytes(0));
  }
}
