package dev.lorikeet.bench.serve;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Control groups on a folder that looks as the kernel's does. */
class QuotaTest {
  @TempDir Path root;

  private Path group() {
    return root.resolve("lorikeet-bench-" + ProcessHandle.current().pid());
  }

  private void write(String file, String content) throws IOException {
    Path path = root.resolve(file);
    Files.createDirectories(path.getParent());
    Files.writeString(path, content);
  }

  private void assertImpossible(String... reasons) {
    var error = assertThrows(Quota.Impossible.class, () -> Quota.of(root, 50).close());
    for (String reason : reasons) {
      assertTrue(String.valueOf(error.getMessage()).contains(reason), error.getMessage());
    }
  }

  @Test
  void aGroupHasItsShareOfAPeriod() throws Exception {
    write("cgroup.controllers", "cpuset cpu io memory\n");
    write("cgroup.subtree_control", "cpuset memory\n");
    for (int percent : new int[] {50, 150}) {
      try (Quota quota = Quota.of(root, percent)) {
        assertEquals(
            percent * 1000 + " 100000", Files.readString(group().resolve("cpu.max")).strip());
        assertEquals("+cpu", Files.readString(root.resolve("cgroup.subtree_control")));
        List<String> prefix = quota.prefix();
        assertTrue(prefix.get(2).contains(group().resolve("cgroup.procs").toString()));
      }
    }
  }

  @Test
  void whereProcessorsAreNotPassedOnTheReasonIsTold() throws IOException {
    write("cgroup.controllers", "cpuset memory pids\n");
    assertImpossible("controller cpu", "'cpuset memory pids'", root.toString());
  }

  @Test
  void whereThereAreNoControlGroupsTheReasonIsTold() {
    assertImpossible("no control group", root.toString());
  }

  @Test
  void whereNoGroupCanBeMadeTheReasonIsTold() throws IOException {
    write("cgroup.controllers", "cpu\n");
    write("cgroup.subtree_control", "cpu\n");
    Files.writeString(group(), "a file in its place");
    assertImpossible("no control group for processors can be made", group().toString());
  }
}
