package dev.lorikeet.training.data;

import static dev.lorikeet.training.data.ExampleFiles.onlyPreference;
import static dev.lorikeet.training.data.ExampleFiles.onlyText;
import static dev.lorikeet.training.data.ExampleFiles.refused;
import static org.junit.jupiter.api.Assertions.assertEquals;

import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Examples that a chat template renders. */
class ConversationTest {
  private static final String CHATML =
      "{% for m in messages %}<|start|>{{ m['role'] }}\n{{ m['content'] }}<|end|>\n{% endfor %}"
          + "{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";

  private final GreedyTokenizer tokens = new GreedyTokenizer("<|start|>", "<|end|>", ": y");

  @TempDir Path folder;
  private ExampleFiles files;

  @BeforeEach
  void openFolder() {
    files = new ExampleFiles(folder);
  }

  private ExampleReader reader(String template) {
    return ExampleReader.builder(tokens.size())
        .tokenizer(tokens)
        .chatTemplate(files.template(template))
        .eosToken(GreedyTokenizer.EOS)
        .build();
  }

  private String learned(Example.Text text) {
    StringBuilder learned = new StringBuilder();
    for (int t = 0; t < text.tokens(); t++) {
      learned.append(
          text.labels()[t] < 0 ? "_" : tokens.decode(new int[] {text.labels()[t]}, false));
    }
    return learned.toString().replaceAll("_+", "_");
  }

  private String messages(String... rolesAndContents) {
    StringBuilder list = new StringBuilder();
    for (int i = 0; i < rolesAndContents.length; i += 2) {
      list.append(i == 0 ? "" : ", ")
          .append("{'role': '")
          .append(rolesAndContents[i])
          .append("', 'content': '")
          .append(rolesAndContents[i + 1])
          .append("'}");
    }
    return "[" + list + "]";
  }

  private Path conversation(String... rolesAndContents) {
    return files.lines("{'messages': " + messages(rolesAndContents) + "}");
  }

  @Test
  void everyTurnOfTheAssistantIsLearnedWithItsEnd() {
    Example.Text text =
        onlyText(
            reader(CHATML),
            conversation(
                "system", "s", "user", "u", "assistant", "ab", "user", "v", "assistant", "cd"));
    assertEquals(
        """
        <|start|>system
        s<|end|>
        <|start|>user
        u<|end|>
        <|start|>assistant
        ab<|end|>
        <|start|>user
        v<|end|>
        <|start|>assistant
        cd<|end|>
        """,
        tokens.decode(text.ids(), false));
    assertEquals("_ab<|end|>\n_cd<|end|>\n", learned(text));
  }

  @Test
  void whatComesBehindTheLastTurnIsNotLearned() {
    Example.Text text =
        onlyText(
            reader(CHATML), conversation("user", "u", "assistant", "a", "tool", "t", "user", "v"));
    assertEquals("_a<|end|>\n_", learned(text));
  }

  @Test
  void turnsOfTheAssistantMayFollowOneAnother() {
    Example.Text text =
        onlyText(reader(CHATML), conversation("user", "u", "assistant", "a", "assistant", "b"));
    assertEquals("_a<|end|>\n_b<|end|>\n", learned(text));
  }

  @Test
  void aTokenOfTwoTurnsIsTheAnswers() {
    String template =
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
            + "{% if add_generation_prompt %}assistant: {% endif %}";
    Example.Text text = onlyText(reader(template), conversation("user", "u", "assistant", "yz"));
    assertEquals("_: yz\n", learned(text));
  }

  @Test
  void aTemplateThatRendersEarlierTurnsInAnotherWayIsRefused() {
    String forgetful =
        "{% for m in messages %}<|start|>{{ m['role'] }}\n"
            + "{% if loop.last or m['role'] != 'assistant' %}{{ m['content'] }}{% endif %}"
            + "<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant\n{% endif %}";
    ExampleReader reader = reader(forgetful);
    assertEquals(
        "_a<|end|>", learned(onlyText(reader, conversation("user", "u", "assistant", "a"))));
    refused(
        reader,
        conversation("user", "u", "assistant", "a", "user", "v", "assistant", "b"),
        "line 1: messages[1]: the chat template does not render a conversation as the beginning of"
            + " a longer one",
        "expected 'a<|end|>' at character",
        "found '<|end|><|start|>user?v");
  }

  @Test
  void aTemplateThatRefusesAConversationIsQuoted() {
    String strict =
        "{% if messages[0]['role'] != 'user' %}{{ raise_exception('user first') }}{% endif %}"
            + CHATML;
    refused(
        reader(strict),
        conversation("system", "s", "user", "u", "assistant", "a"),
        "line 1: messages: chat template ",
        "refused: ",
        "user first");
  }

  @Test
  void conversationsWithoutAnAnswer() {
    ExampleReader reader = reader(CHATML);
    refused(
        reader, conversation("user", "u"), "messages: expected at least one message of the role");
    refused(
        reader,
        conversation("assistant", "a", "user", "u"),
        "messages[0]: expected a message of another role first");
    refused(reader, conversation(), "messages: expected at least one message, found a list of 0");
  }

  @Test
  void messagesThatAreNone() {
    ExampleReader reader = reader(CHATML);
    refused(
        reader,
        conversation("user", "u", "assistant", ""),
        "line 1: messages[1]: content: expected");
    refused(reader, files.lines("{'messages': 'x'}"), "messages: expected a list of at most");
    refused(reader, files.lines("{'messages': [1]}"), "messages[0]: expected an object, found 1");
    refused(
        reader, files.lines("{'messages': [{'role': 'user'}]}"), "messages[0]: content: expected");
    refused(
        reader, files.lines("{'messages': [{'content': 'user'}]}"), "messages[0]: role: expected");
    refused(
        reader,
        files.lines("{'messages': [{'role': 'user', 'contents': 'x'}]}"),
        "messages[0]: unknown key 'contents'; did you mean 'content'?");
  }

  @Test
  void promptsAndAnswersMayBeMessages() {
    ExampleReader reader = reader(CHATML);
    String prompt = messages("system", "s", "user", "u");
    Example.Text text =
        onlyText(
            reader,
            files.lines(
                "{'prompt': " + prompt + ", 'completion': " + messages("assistant", "a") + "}"));
    assertEquals("_a<|end|>\n", learned(text));
    Example.Preference pair =
        onlyPreference(
            reader,
            files.lines(
                "{'prompt': "
                    + prompt
                    + ", 'chosen': "
                    + messages("assistant", "a")
                    + ", 'rejected': "
                    + messages("assistant", "ab")
                    + "}"));
    assertEquals(
        "<|start|>system\ns<|end|>\n<|start|>user\nu<|end|>\n<|start|>assistant\n",
        tokens.decode(pair.prompt(), false));
    assertEquals("a<|end|>\n", tokens.decode(pair.chosen(), false));
    assertEquals("ab<|end|>\n", tokens.decode(pair.rejected(), false));
    assertEquals(0, Arrays.stream(pair.chosen()).filter(id -> id == GreedyTokenizer.EOS).count());
  }
}
