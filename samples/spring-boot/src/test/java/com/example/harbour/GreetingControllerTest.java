package com.example.harbour;

import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.get;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.jsonPath;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.status;

import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.webmvc.test.autoconfigure.WebMvcTest;
import org.springframework.test.web.servlet.MockMvc;

@WebMvcTest(value = GreetingController.class, properties = {"app.version=9.8.7", "app.commit=abc1234"})
class GreetingControllerTest {
    @Autowired
    private MockMvc mvc;

    @Test
    void saysWhatIsRunning() throws Exception {
        mvc.perform(get("/"))
                .andExpect(status().isOk())
                .andExpect(jsonPath("$.greeting").value(GreetingController.GREETING))
                .andExpect(jsonPath("$.version").value("9.8.7"))
                .andExpect(jsonPath("$.commit").value("abc1234"));
    }
}
