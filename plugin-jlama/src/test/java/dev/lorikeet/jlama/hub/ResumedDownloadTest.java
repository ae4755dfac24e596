package dev.lorikeet.jlama.hub;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.lorikeet.LorikeetException.Code;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.Test;

/** Downloads that break off, and how they go on. */
class ResumedDownloadTest extends Downloads {
  private static final int HALF = WEIGHTS.length / 2;

  @Test
  void aConnectionThatIsCutIsTakenUpWhereItBroke() throws IOException {
    server.once(CDN, HubServer.cutAfter(HALF)).once(CDN, HubServer.cutAfter(1000));
    AtomicLong done = new AtomicLong();
    StringBuilder expected = new StringBuilder("0 ");
    DownloadProgress progress =
        new DownloadProgress() {
          @Override
          public void update(String file, long bytes, long size) {
            done.set(bytes);
          }

          @Override
          public void waiting(String reason) {
            expected.append(done.get()).append(' ');
          }
        };
    assertDownloaded(hub().progress(progress).build().model(MODEL));
    StringBuilder asked = new StringBuilder();
    server
        .requestsFor(CDN)
        .forEach(
            request ->
                asked
                    .append(("0" + request.header("Range")).replaceAll("0bytes=|-", ""))
                    .append(' '));
    assertEquals(expected.toString(), asked.toString());
    assertEquals(2, pauses.size());
  }

  @Test
  void whatAnEarlierCallLeftIsContinued() throws IOException {
    write(part(), Arrays.copyOf(WEIGHTS, HALF));
    assertDownloaded(hub().build().model(MODEL));
    assertEquals(List.of("bytes=" + HALF + "-"), ranges());
  }

  @Test
  void whatJlamaLeftUnfinishedIsContinued() throws IOException {
    write("models/some_model/config.json", CONFIG);
    write("models/some_model/model.safetensors", Arrays.copyOf(WEIGHTS, HALF));
    assertDownloaded(hub().build().model(MODEL));
    assertEquals(List.of("bytes=" + HALF + "-"), ranges());
    assertEquals(List.of(), server.requestsFor("/cache/config.json"));
  }

  private String part() {
    String hash = HubServer.hash("SHA-256", WEIGHTS).substring(0, 12);
    return "models/some_model/model.safetensors." + hash + ".part";
  }

  private List<String> ranges() {
    return server.requestsFor(CDN).stream().map(request -> request.header("Range")).toList();
  }

  @Test
  void aPartThatIsWrongIsNoticedAndFetchedAnew() throws IOException {
    write(part(), new byte[HALF]);
    assertDownloaded(hub().build().model(MODEL));
    assertEquals(List.of("bytes=" + HALF + "-", ""), ranges());
  }

  @Test
  void aPartOfOtherBytesOrTooLongIsDropped() throws IOException {
    write("models/some_model/model.safetensors.00112233aabb.part", new byte[10]);
    write("models/some_model/model.safetensors.part", new byte[10]);
    write(part(), new byte[WEIGHTS.length + 1]);
    assertDownloaded(hub().build().model(MODEL));
    assertEquals(List.of(""), ranges());
  }

  @Test
  void aServerWithoutRangesSendsAllAgain() throws IOException {
    write(part(), Arrays.copyOf(WEIGHTS, HALF));
    server.once(CDN, HubServer.bytes(WEIGHTS));
    assertDownloaded(hub().build().model(MODEL));
  }

  @Test
  void wrongBytesNeverGetTheirName() {
    byte[] wrong = WEIGHTS.clone();
    wrong[HALF] ^= 1;
    server.once(CDN, HubServer.bytes(wrong));
    assertRefused(Code.MODEL_INVALID, "model.safetensors", "SHA-256");
    assertFalse(Files.exists(weightsFile()));
    assertFalse(Files.exists(directory().resolve(".finished")));
  }

  @Test
  void smallFilesAreCheckedToo() {
    byte[] wrong = CONFIG.clone();
    wrong[3] ^= 1;
    server.once("/cache/config.json", HubServer.bytes(wrong));
    assertRefused(Code.MODEL_INVALID, "config.json", "SHA-1");
  }

  @Test
  void aServerThatAlwaysCutsIsGivenUpAndWhatCameIsKept() throws IOException {
    server.once(CDN, HubServer.cutAfter(HALF)).times(20, CDN, HubServer.cutAfter(0));
    assertRefused(Code.DOWNLOAD_FAILED, "model.safetensors", "times");
    assertTrue(pauses.size() <= 4, pauses.toString());
    byte[] left = Files.readAllBytes(temporary.resolve(part()));
    assertArrayEquals(Arrays.copyOf(WEIGHTS, left.length), left);
    assertFalse(Files.exists(directory().resolve(".finished")));
  }

  @Test
  void aServerThatFallsSilentIsAskedAgain() throws Exception {
    CountDownLatch end = new CountDownLatch(1);
    server.once(
        CDN,
        (exchange, bytes) -> {
          HubServer.head(exchange, bytes, 0);
          exchange.getResponseBody().write(bytes, 0, HALF);
          exchange.getResponseBody().flush();
          await(end);
        });
    try {
      assertDownloaded(hub().patience(patience(Duration.ofSeconds(1))).build().model(MODEL));
      assertTrue(waits.getFirst().contains("nothing came for 1 s"), waits.toString());
    } finally {
      end.countDown();
    }
  }

  @Test
  void twoThreadsDownloadOnce() throws Exception {
    CountDownLatch secondWaits = new CountDownLatch(1);
    server.once(
        CDN,
        (exchange, bytes) -> {
          await(secondWaits);
          HubServer.bytes(bytes).to(exchange, bytes);
        });
    DownloadProgress progress =
        new DownloadProgress() {
          @Override
          public void update(String file, long done, long size) {}

          @Override
          public void waiting(String reason) {
            secondWaits.countDown();
          }
        };
    Hub hub = hub().progress(progress).build();
    try (var threads = Executors.newVirtualThreadPerTaskExecutor()) {
      var one = threads.submit(() -> hub.model(MODEL));
      var two = threads.submit(() -> hub.model(MODEL));
      assertDownloaded(one.get());
      assertDownloaded(two.get());
    }
    assertEquals(1, server.requestsFor(CDN).size());
  }

  @Test
  void anotherProcessIsWaitedFor() throws Exception {
    Files.createDirectories(directory());
    Process other =
        new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-cp",
                System.getProperty("java.class.path"),
                LockHolder.class.getName(),
                directory().resolve(".lock").toString())
            .redirectError(ProcessBuilder.Redirect.INHERIT)
            .start();
    try (var out = other.inputReader()) {
      assertEquals("locked", out.readLine());
      DownloadProgress progress =
          new DownloadProgress() {
            @Override
            public void update(String file, long done, long size) {}

            @Override
            public void waiting(String reason) {
              waits.add(reason);
              other.destroy();
            }
          };
      assertDownloaded(hub().progress(progress).build().model(MODEL));
      assertTrue(waits.getFirst().contains("another process"), waits.toString());
    } finally {
      other.destroyForcibly();
    }
  }

  private static void await(CountDownLatch latch) {
    try {
      latch.await();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
