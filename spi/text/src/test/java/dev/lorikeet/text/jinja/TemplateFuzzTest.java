package dev.lorikeet.text.jinja;

import static org.junit.jupiter.api.Assertions.assertTrue;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.sun.management.ThreadMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Random templates, and real ones with random damage, rendered on random chats: nothing but the one
 * exception comes out, and what is allocated is what was counted. More of them with {@code
 * -Dlorikeet.fuzz.mutations=N}, the same again with {@code -Dlorikeet.fuzz.seed=N}.
 */
@Timeout(value = 12, unit = TimeUnit.HOURS)
class TemplateFuzzTest {
  private static final Path RENDERED =
      Path.of("src/test/resources/dev/lorikeet/text/chat_templates.json");

  /** Less than there is, so that templates that reach the limits, as many do, take no time. */
  private static final long MAX_WORK = 1 << 24;

  private static final long MAX_SIZE = 1 << 20;

  private static final int MUTATIONS = Integer.getInteger("lorikeet.fuzz.mutations", 5_000);

  /** Bytes beside what is counted: parsing is not. */
  private static final long ALLOCATED_ANYWAY = 16 << 20;

  /** Bytes that one unit of counted size may take, garbage included. */
  private static final long BYTES_PER_UNIT = 32;

  /** Bytes of garbage that one unit of work may leave: steps leave some that no value needs. */
  private static final long BYTES_PER_WORK = 8;

  private final ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
  private int rendered;

  @Test
  void randomTemplatesEndInTextOrInTheirException() {
    long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int n = 0; n < MUTATIONS; n++) {
      renderOnce(seed, n, new RandomTemplate(random).make(), random);
    }
    assertTrue(rendered > MUTATIONS / 10, rendered + " rendered of " + MUTATIONS);
  }

  @Test
  void damagedTemplatesEndInTextOrInTheirException() throws IOException {
    List<String> templates = new ArrayList<>();
    new ObjectMapper()
        .readTree(RENDERED.toFile())
        .forEach(entry -> templates.add(entry.path("template").textValue()));
    long seed = Long.getLong("lorikeet.fuzz.seed", System.nanoTime());
    Random random = new Random(seed);
    for (int n = 0; n < MUTATIONS; n++) {
      String template = templates.get(random.nextInt(templates.size()));
      String other = templates.get(random.nextInt(templates.size()));
      for (int i = random.nextInt(1, 4); i > 0; i--) {
        template = damaged(template, other, random);
      }
      renderOnce(seed, n, template, random);
    }
    assertTrue(rendered > MUTATIONS / 10, rendered + " rendered of " + MUTATIONS);
  }

  private void renderOnce(long seed, int n, String template, Random random) {
    Limits limits = new Limits(() -> 0, () -> {}, MAX_WORK, MAX_SIZE);
    Map<String, Object> chat = RandomTemplate.chat(random);
    long before = threads.getCurrentThreadAllocatedBytes();
    try {
      JinjaTemplate.parse(template).render(chat, limits);
      rendered++;
    } catch (JinjaException expected) {
      assertTrue(expected.kind() != null);
    } catch (RuntimeException | Error e) {
      throw new AssertionError("seed " + seed + ", template " + n + ": " + template, e);
    }
    long allocated = threads.getCurrentThreadAllocatedBytes() - before;
    long accounted =
        ALLOCATED_ANYWAY + BYTES_PER_UNIT * limits.size() + BYTES_PER_WORK * limits.work();
    assertTrue(
        allocated <= accounted,
        () -> allocated + " bytes, seed " + seed + ", template " + n + ": " + template);
  }

  private static String damaged(String template, String other, Random random) {
    StringBuilder text = new StringBuilder(template);
    int at = random.nextInt(text.length() + 1);
    int end = Math.min(text.length(), at + 1 + random.nextInt(12));
    switch (random.nextInt(6)) {
      case 0 -> text.delete(at, end);
      case 1 -> text.insert(at, text.substring(at, end).repeat(1 + random.nextInt(3)));
      case 2 -> text.insert(at, "{{%}#-+()[]|.~*'\"\\".charAt(random.nextInt(18)));
      case 3 -> text.insert(at, new RandomTemplate(random).expression(2));
      case 4 -> {
        int from = random.nextInt(other.length() + 1);
        text.replace(at, end, other.substring(from, Math.min(other.length(), from + 40)));
      }
      default -> {
        int name = text.indexOf("content", at);
        if (name >= 0) {
          text.replace(name, name + 7, new RandomTemplate(random).expression(1));
        }
      }
    }
    return text.toString();
  }
}
