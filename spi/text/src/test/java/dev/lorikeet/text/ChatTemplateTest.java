package dev.lorikeet.text;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import dev.lorikeet.LorikeetException;
import dev.lorikeet.LorikeetException.Code;
import dev.lorikeet.model.Prompt.Chat;
import dev.lorikeet.model.Prompt.ChatMessage;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

class ChatTemplateTest {
  private static final Chat CHAT = Chat.of(ChatMessage.user("Hi"), ChatMessage.assistant("Ho"));

  @TempDir Path directory;

  private ChatTemplate read() {
    return ChatTemplate.read(directory).orElseThrow();
  }

  private void config(String json) throws IOException {
    Files.writeString(directory.resolve("tokenizer_config.json"), json);
  }

  @Test
  void aTemplateOfTheTokenizerConfigurationSeesItsSpecialTokens() throws IOException {
    config(
        """
        {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "chat_template":
         "{{ bos_token }}{% for m in messages %}[{{ m.role }}] {{ m['content'] }}{{ eos_token }}{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"}
        """);
    assertEquals("<s>[user] Hi</s>[assistant] Ho</s>[assistant]", read().render(CHAT, true));
    assertEquals("<s>[user] Hi</s>[assistant] Ho</s>", read().render(CHAT, false));
  }

  @Test
  void aTemplateFileGoesBeforeTheConfiguration() throws IOException {
    config("{\"chat_template\": \"config\"}");
    Files.writeString(directory.resolve("chat_template.jinja"), "file {{ messages|length }}\n");
    assertEquals("file 2", read().render(CHAT, true));
  }

  @Test
  void ofNamedTemplatesTheDefaultIsTaken() throws IOException {
    config(
        """
        {"chat_template": [{"name": "tool_use", "template": "tools"},
                           {"name": "default", "template": "{{ messages[-1].content }}"}]}
        """);
    assertEquals("Ho", read().render(CHAT, true));
  }

  @Test
  void aModelWithoutATemplateHasNone() throws IOException {
    assertTrue(ChatTemplate.read(directory).isEmpty());
    config("{\"chat_template\": null}");
    assertTrue(ChatTemplate.read(directory).isEmpty());
  }

  @Test
  void aConversationThatTheTemplateRefusesIsTheRequestsFault() throws IOException {
    config("{\"chat_template\": \"{{ raise_exception('roles must alternate') }}\"}");
    var error = assertThrows(LorikeetException.class, () -> read().render(CHAT, true));
    assertEquals(Code.INVALID_REQUEST, error.code());
    assertTrue(
        String.valueOf(error.getMessage()).endsWith("refused: roles must alternate"),
        error.getMessage());
  }

  @Test
  void aTemplateThatIsNoneRefusesConversationsWithTheReason() throws IOException {
    config("{\"chat_template\": \"{% for %}\"}");
    assertUnusable("tokenizer_config.json: chat_template: line 1");
    config("{\"chat_template\": [{\"name\": \"tool_use\", \"template\": \"\"}]}");
    assertUnusable("a list with one named default");
    Path file = directory.resolve("chat_template.jinja");
    Files.write(file, new byte[1 << 20]);
    assertUnusable("chat_template.jinja: expected at most 262144 bytes, found 1048576");
    Files.write(file, new byte[] {(byte) 0xE9});
    assertUnusable("chat_template.jinja: expected UTF-8, found a malformed sequence of bytes");
  }

  private void assertUnusable(String reason) {
    ChatTemplate template = read();
    var error = assertThrows(LorikeetException.class, () -> template.render(CHAT, true));
    assertEquals(Code.INVALID_REQUEST, error.code());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.startsWith("chat: the chat template cannot be used"), message);
    assertTrue(message.contains(reason), message);
  }

  @Test
  @Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
  void aTemplateThatIsNoFileIsNotOpened() throws Exception {
    Path file = directory.resolve("chat_template.jinja");
    assumeTrue(new ProcessBuilder("mkfifo", file.toString()).start().waitFor() == 0);
    assertUnreadable("a special file");
    Files.delete(file);
    Files.createSymbolicLink(file, Path.of("/dev/zero"));
    assertUnreadable("a special file");
    Files.delete(file);
    Files.createDirectory(file);
    assertUnreadable("a directory");
  }

  private void assertUnreadable(String found) {
    var error = assertThrows(LorikeetException.class, () -> ChatTemplate.read(directory));
    assertEquals(Code.MODEL_INVALID, error.code());
    String message = String.valueOf(error.getMessage());
    assertTrue(message.contains("chat_template.jinja: expected"), message);
    assertTrue(message.endsWith("found " + found), message);
  }

  @Test
  void aTemplateThatTakesTooMuchIsTheRequestsFault() throws IOException {
    config("{\"chat_template\": \"{% for i in range(90000) %}{{ 'a' * 16000 }}{% endfor %}\"}");
    var error = assertThrows(LorikeetException.class, () -> read().render(CHAT, true));
    assertEquals(Code.INVALID_REQUEST, error.code());
    assertTrue(String.valueOf(error.getMessage()).contains("failed: expected at most"));
  }

  @Test
  void aRenderingEndsWhenItsRequestDoes() throws IOException {
    config("{\"chat_template\": \"{% for i in range(90000) %}{{ i ~ i }}{% endfor %}\"}");
    var late = new LorikeetException(Code.DEADLINE_EXCEEDED, "late");
    var error =
        assertThrows(
            LorikeetException.class,
            () ->
                read()
                    .render(
                        CHAT,
                        true,
                        () -> {
                          throw late;
                        }));
    assertEquals(late, error);
  }
}
